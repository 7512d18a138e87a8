//! One Application of very many ConfigMaps.

use anyhow::{Result, ensure};
use serde_json::json;

use super::super::book::Measurement;
use super::super::scenario::as_u64;
use super::gitops::{application, config_map, config_maps, converge, prepare};
use super::{Case, Scenario, Session};

/// ConfigMaps when nothing else is asked for.
const COUNT: usize = 10_000;
/// ConfigMaps in one file.
const PER_FILE: usize = 500;

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let count = session.plan.count.unwrap_or(COUNT);
    let repository = session.bed.git()?.repository("bench").await?;
    for from in (0..count).step_by(PER_FILE) {
        let of = from..count.min(from + PER_FILE);
        let documents = of.map(|index| config_map(&format!("of-many-{index:05}"), &json!({})));
        let documents: Vec<String> = documents.map(|one| one.to_string()).collect();
        let file = format!("large/{from:05}.yaml");
        repository.write(&file, &documents.join("\n---\n")).await?;
    }
    repository.commit(&[], "one large application").await?;
    let (subject, idle) = session.subject(Scenario::Large, vec![]).await?;
    prepare(session).await?;
    let case = Case {
        id: "large",
        title: format!("one Application of {count} ConfigMaps of 2 KB: Synced and Healthy"),
        objects: count,
        own_requests: 1,
    };
    let load = async {
        let manifest = application("large", &repository.url, "large");
        let mut outcome = converge(session, &subject, vec![manifest]).await?;
        // The load is its objects; they are all there when it is Synced.
        outcome.done *= count;
        outcome.latency = None;
        Ok(outcome)
    };
    let measurement = session.case(&subject, idle, case, load).await?;
    if measurement.complete() {
        let found = config_maps(session).await?;
        ensure!(
            found == as_u64(count),
            "the Application is Synced, but {found} of {count} ConfigMaps exist"
        );
    }
    Ok(vec![measurement])
}
