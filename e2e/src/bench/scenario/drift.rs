//! Objects that are changed by hand, one after the other: how long until each is as Git wants it.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::Instant;

use super::super::book::{Latency, Measurement};
use super::contents::{Contents, KEY};
use super::gitops::{TARGET, applications, converge, name, one_map_each, payload, prepare};
use super::{Case, Outcome, Scenario, Session};

/// Applications when nothing else is asked for. The object of each is changed once, because an engine may wait before it
/// heals the same one again.
const COUNT: usize = 200;
/// Longest wait for one.
const ONE: Duration = Duration::from_secs(30);

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let count = session.plan.count.unwrap_or(COUNT);
    let repository = one_map_each(session, count).await?;
    let (subject, idle) = session.subject(Scenario::Drift, vec![]).await?;
    prepare(session).await?;
    let start = converge(session, &subject, applications(&repository, count)).await?;
    ensure!(
        start.done == count,
        "{} of {count} Applications converged",
        start.done
    );
    subject.settled().await?;
    let case = Case {
        id: "drift",
        title: format!("{count} ConfigMaps changed by hand, one after the other: each is healed"),
        objects: count,
        own_requests: count,
    };
    let api: Api<ConfigMap> = Api::namespaced(session.bed.client()?, TARGET);
    let mut contents = Contents::of(session.bed.client()?, TARGET).await?;
    let load = async {
        let start = Instant::now();
        let mut each = Vec::new();
        for name in (0..count).map(name) {
            let drift = Patch::Merge(json!({"data": {KEY: "by hand"}}));
            let sent = Instant::now();
            api.patch(&name, &PatchParams::default(), &drift).await?;
            let drifted = contents.until(&name, "by hand", ONE).await?;
            let healed = contents.until(&name, &payload(&name), ONE).await?;
            let (Some(_), Some(healed)) = (drifted, healed) else {
                break;
            };
            each.push(healed.saturating_duration_since(sent));
            subject.check().await?;
        }
        Ok(Outcome {
            done: each.len(),
            took: start.elapsed(),
            latency: Latency::of(each),
            stream: None,
        })
    };
    Ok(vec![session.case(&subject, idle, case, load).await?])
}
