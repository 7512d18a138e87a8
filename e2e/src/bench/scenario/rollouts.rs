//! N one-pod Rollouts: deployed, then updated through `setWeight: 50` and a pause of two seconds. Their traffic is nobody's
//! concern here, see [`super::routes`].

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
pub(super) const NAMESPACE: &str = "bench";

/// Rollouts of one form.
#[derive(Clone, Copy)]
pub(super) struct Fleet {
    /// How they are called.
    pub(super) what: &'static str,
    /// The case of their first deployment.
    pub(super) deploy: &'static str,
    /// The case of their update.
    pub(super) update: &'static str,
    /// The Rollout of this name.
    pub(super) rollout: fn(&str) -> Value,
}

const PLAIN: Fleet = Fleet {
    what: "one-pod Rollouts",
    deploy: "rollouts-deploy",
    update: "rollouts-update",
    rollout,
};

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
    let (subject, idle) = session.subject(Scenario::Rollouts, vec![]).await?;
    session.bed.cluster()?.apply_namespace(NAMESPACE).await?;
    measure(session, &subject, idle, PLAIN).await
}

/// How many Rollouts this run has.
pub(super) fn count_of(session: &Session<'_>) -> usize {
    session.plan.count.unwrap_or(COUNT)
}

/// The first deployment of a fleet, and its update.
pub(super) async fn measure(
    session: &Session<'_>,
    subject: &Subject,
    idle: Memory,
    fleet: Fleet,
) -> Result<Vec<Measurement>> {
    let deployed = deploy(session, subject, idle, fleet).await?;
    if !deployed.complete() {
        // An update of Rollouts that are not there would measure something else.
        return Ok(vec![deployed]);
    }
    let updated = update(session, subject, idle, fleet).await?;
    Ok(vec![deployed, updated])
}

async fn deploy(
    session: &Session<'_>,
    subject: &Subject,
    idle: Memory,
    fleet: Fleet,
) -> Result<Measurement> {
    let count = count_of(session);
    let cluster = session.bed.cluster()?;
    let api = cluster
        .api("argoproj.io/v1alpha1", "Rollout", NAMESPACE)
        .await?;
    let watched = statuses::<Status>(cluster.client(), NAMESPACE, "Rollout", "rollouts");
    let rollouts = (0..count)
        .map(|index| (fleet.rollout)(&name(index)))
        .collect();
    let case = Case {
        id: fleet.deploy,
        title: format!("{count} {} deployed: all Healthy", fleet.what),
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
    fleet: Fleet,
) -> Result<Measurement> {
    let count = count_of(session);
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
        id: fleet.update,
        title: format!(
            "{count} {} updated through setWeight 50 and a pause of 2 s: all Healthy",
            fleet.what
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

/// The name of one of the Rollouts.
pub(super) fn name(index: usize) -> String {
    format!("rollout-{index:05}")
}

/// A Rollout of one pod.
pub(super) fn rollout(name: &str) -> Value {
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
