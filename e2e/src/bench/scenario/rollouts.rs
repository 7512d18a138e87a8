//! N one-pod Rollouts: deployed, then updated through `setWeight: 50` and a pause of two seconds.

use std::collections::HashMap;

use anyhow::Result;
use kube::ResourceExt as _;
use kube::api::ListParams;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::book::{Measurement, Memory};
use super::super::load;
use super::super::subject::Subject;
use super::super::waiting::{Seen, statuses, until_all};
use super::{Case, Outcome, Scenario, Session};

/// Rollouts when nothing else is asked for.
const COUNT: usize = 500;
/// Where they live.
const NAMESPACE: &str = "bench";

/// What is read of a Rollout.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: String,
    observed_generation: String,
    #[serde(rename = "stableRS")]
    stable: String,
    current_pod_hash: String,
    available_replicas: i64,
}

/// Healthy in its newest form, with its pod available and nothing on the way.
fn healthy(rollout: &Seen<Status>) -> bool {
    rollout.status.as_ref().is_some_and(|status| {
        status.phase == "Healthy"
            && status.available_replicas >= 1
            && !status.stable.is_empty()
            && status.stable == status.current_pod_hash
            && rollout.metadata.generation.unwrap_or_default().to_string()
                == status.observed_generation
    })
}

fn stable(rollout: &Seen<Status>) -> &str {
    rollout.status.as_ref().map_or("", |status| &status.stable)
}

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let count = session.plan.count.unwrap_or(COUNT);
    let (subject, idle) = session.subject(Scenario::Rollouts, vec![]).await?;
    session.bed.cluster()?.apply_namespace(NAMESPACE).await?;
    let deployed = deploy(session, &subject, idle, count).await?;
    if !deployed.complete() {
        // An update of Rollouts that are not there would measure something else.
        return Ok(vec![deployed]);
    }
    let updated = update(session, &subject, idle, count).await?;
    Ok(vec![deployed, updated])
}

async fn deploy(
    session: &Session<'_>,
    subject: &Subject,
    idle: Memory,
    count: usize,
) -> Result<Measurement> {
    let cluster = session.bed.cluster()?;
    let api = cluster
        .api("argoproj.io/v1alpha1", "Rollout", NAMESPACE)
        .await?;
    let watched = statuses::<Status>(cluster.client(), NAMESPACE, "Rollout", "rollouts");
    let rollouts = (0..count).map(|index| rollout(&name(index))).collect();
    let case = Case {
        id: "rollouts-deploy",
        title: format!("{count} one-pod Rollouts deployed: all Healthy"),
        objects: count,
        own_requests: count,
    };
    let load = async {
        let start = Instant::now();
        let wait = until_all(
            watched,
            count,
            start,
            session.plan.deadline,
            subject,
            healthy,
        );
        let (sent, reached) = tokio::try_join!(load::create(&api, rollouts), wait)?;
        Ok(Outcome::of(&reached, &sent, start))
    };
    session.case(subject, idle, case, load).await
}

async fn update(
    session: &Session<'_>,
    subject: &Subject,
    idle: Memory,
    count: usize,
) -> Result<Measurement> {
    let cluster = session.bed.cluster()?;
    let api = cluster
        .api("argoproj.io/v1alpha1", "Rollout", NAMESPACE)
        .await?;
    let watched = statuses::<Status>(cluster.client(), NAMESPACE, "Rollout", "rollouts");
    let list = watched.list(&ListParams::default()).await?;
    let old: HashMap<String, String> = list
        .items
        .iter()
        .map(|rollout| (rollout.name_any(), stable(rollout).to_owned()))
        .collect();
    let names: Vec<String> = (0..count).map(name).collect();
    let change =
        json!({"spec": {"template": {"metadata": {"annotations": {"bench/version": "2"}}}}});
    let case = Case {
        id: "rollouts-update",
        title: format!(
            "{count} Rollouts updated through setWeight 50 and a pause of 2 s: all Healthy"
        ),
        objects: count,
        own_requests: count,
    };
    let load = async {
        let start = Instant::now();
        let promoted = |rollout: &Seen<Status>| {
            let before = old.get(&rollout.name_any()).map_or("", String::as_str);
            healthy(rollout) && stable(rollout) != before
        };
        let wait = until_all(
            watched,
            count,
            start,
            session.plan.deadline,
            subject,
            promoted,
        );
        let (sent, reached) = tokio::try_join!(load::patch(&api, &names, &change), wait)?;
        Ok(Outcome::of(&reached, &sent, start))
    };
    session.case(subject, idle, case, load).await
}

fn name(index: usize) -> String {
    format!("rollout-{index:05}")
}

fn rollout(name: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "strategy": {"canary": {"steps": [{"setWeight": 50}, {"pause": {"duration": "2s"}}]}},
            "template": {
                "metadata": {"labels": {"app": name}},
                "spec": {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}]},
            },
        },
    })
}
