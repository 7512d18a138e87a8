//! As many Applications as one process holds. Then nothing happens for a while, and then only to objects that are no
//! Application's.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};

use super::super::book::{Measurement, Memory};
use super::super::scenario::as_u64;
use super::super::subject::Subject;
use super::gitops::{TARGET, applications, config_maps, converge, one_map_each, prepare};
use super::{Case, Outcome, Scenario, Session};

/// Applications when nothing else is asked for.
const COUNT: usize = 10_000;
/// How long the idle engine is observed.
const WINDOW: Duration = Duration::from_mins(1);
/// Updates of other objects in that time, a hundred a second.
const UPDATES: usize = 6000;
/// Objects that are updated in turn.
const OTHERS: usize = 100;

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let count = session.plan.count.unwrap_or(COUNT);
    let repository = one_map_each(session, count).await?;
    let (subject, idle) = session.subject(Scenario::Scale, vec![]).await?;
    prepare(session).await?;
    let case = Case {
        id: "scale",
        title: format!("{count} Applications of one 2 KB ConfigMap: all Synced and Healthy"),
        objects: count,
        own_requests: count,
    };
    let load = converge(session, &subject, applications(&repository, count));
    let converged = session.case(&subject, idle, case, load).await?;
    if !converged.complete() {
        return Ok(vec![converged]);
    }
    let found = config_maps(session).await?;
    ensure!(
        found == as_u64(count),
        "{count} Applications are Synced, but {found} ConfigMaps exist"
    );
    let quiet = quiet(session, &subject, count).await?;
    let churn = churn(session, &subject, count, quiet.after).await?;
    Ok(vec![converged, quiet, churn])
}

async fn quiet(session: &Session<'_>, subject: &Subject, count: usize) -> Result<Measurement> {
    let idle = subject.settled().await?.memory;
    let case = Case {
        id: "scale-idle",
        title: format!(
            "the {count} Applications, observed for {} s in which nothing happens (idle: memory with them)",
            WINDOW.as_secs()
        ),
        objects: count,
        own_requests: 0,
    };
    let load = async {
        tokio::time::sleep(WINDOW).await;
        Ok(Outcome {
            done: count,
            took: WINDOW,
            ..Outcome::default()
        })
    };
    session.case(subject, idle, case, load).await
}

/// ConfigMaps beside those of the Applications, in the same namespace, are updated at a fixed rate.
async fn churn(
    session: &Session<'_>,
    subject: &Subject,
    count: usize,
    idle: Memory,
) -> Result<Measurement> {
    let api: Api<ConfigMap> = Api::namespaced(session.bed.client()?, TARGET);
    let update = async |index: usize| -> Result<()> {
        let name = format!("other-{:03}", index % OTHERS);
        let body = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": name}, "data": {"update": index.to_string()},
        });
        let params = PatchParams::apply("bench").force();
        api.patch(&name, &params, &Patch::Apply(&body)).await?;
        Ok(())
    };
    for index in 0..OTHERS {
        update(index).await?;
    }
    let case = Case {
        id: "scale-churn",
        title: format!(
            "the {count} Applications, while {UPDATES} updates in {} s change ConfigMaps of nobody (idle: memory with them)",
            WINDOW.as_secs()
        ),
        objects: count,
        own_requests: UPDATES,
    };
    let load = async {
        let start = Instant::now();
        let mut ticks = tokio::time::interval(WINDOW / u32::try_from(UPDATES)?);
        // A machine that was busy for a moment catches up: the number of updates counts.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for index in 0..UPDATES {
            ticks.tick().await;
            update(index).await?;
        }
        Ok(Outcome {
            done: count,
            took: start.elapsed(),
            ..Outcome::default()
        })
    };
    session.case(subject, idle, case, load).await
}
