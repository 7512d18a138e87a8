//! N Applications of one 2 KB ConfigMap each, in one repository, synced automatically; then a restart.

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::ListParams;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::book::Measurement;
use super::super::subject::Subject;
use super::super::waiting::{Reached, Seen, statuses, until_all};
use super::super::{load, scenario::as_u64};
use super::contents::KEY;
use super::{Case, Outcome, Scenario, Session};
use crate::git::Repository;
use crate::stack::Which;

/// Applications when nothing else is asked for.
const COUNT: usize = 1000;
/// Where the ConfigMaps go.
pub(super) const TARGET: &str = "bench";
/// Bytes of data in every ConfigMap.
const DATA: usize = 2048;

/// What is read of an Application.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Status {
    sync: Code,
    health: Code,
    operation_state: Operation,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
struct Code {
    status: String,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default)]
struct Operation {
    phase: String,
}

/// Synced, Healthy, and the sync operation is over.
pub(super) fn converged(application: &Seen<Status>) -> bool {
    application.status.as_ref().is_some_and(|status| {
        status.sync.status == "Synced"
            && status.health.status == "Healthy"
            && status.operation_state.phase == "Succeeded"
    })
}

pub(super) async fn run(session: &Session<'_>) -> Result<Vec<Measurement>> {
    let count = session.plan.count.unwrap_or(COUNT);
    let repository = one_map_each(session, count).await?;
    let (subject, idle) = session.subject(Scenario::Gitops, vec![]).await?;
    prepare(session).await?;
    let case = Case {
        id: "gitops",
        title: format!("{count} Applications of one 2 KB ConfigMap: all Synced and Healthy"),
        objects: count,
        own_requests: count,
    };
    let load = converge(session, &subject, applications(&repository, count));
    let mut measurements = vec![session.case(&subject, idle, case, load).await?];
    if measurements[0].complete() {
        let found = config_maps(session).await?;
        ensure!(
            found == as_u64(count),
            "{count} Applications are Synced, but {found} ConfigMaps exist"
        );
        let restarted = session
            .restart(&subject, idle, "gitops-restart", count)
            .await?;
        measurements.extend(restarted);
    }
    Ok(measurements)
}

/// The name of an Application, its folder and its ConfigMap.
pub(super) fn name(index: usize) -> String {
    format!("app-{index:05}")
}

/// A repository with a folder for each of so many Applications.
pub(super) async fn one_map_each(session: &Session<'_>, count: usize) -> Result<Repository> {
    let repository = session.bed.git()?.repository("bench").await?;
    for index in 0..count {
        let name = name(index);
        let manifest = config_map(&name, &json!({})).to_string();
        repository.write(&file(&name), &manifest).await?;
    }
    repository
        .commit(&[], "one ConfigMap for every application")
        .await?;
    Ok(repository)
}

/// Where the ConfigMap of an Application is.
pub(super) fn file(name: &str) -> String {
    format!("apps/{name}/configmap.json")
}

/// The Applications of these folders.
pub(super) fn applications(repository: &Repository, count: usize) -> Vec<Value> {
    let names = (0..count).map(name);
    names
        .map(|name| application(&name, &repository.url, &format!("apps/{name}")))
        .collect()
}

/// The target namespace, and the project `default` for engines that do not make it themselves.
pub(super) async fn prepare(session: &Session<'_>) -> Result<()> {
    let cluster = session.bed.cluster()?;
    cluster.apply_namespace(TARGET).await?;
    let project = json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "default", "namespace": Which::ArgoCdLite.namespace()},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    });
    cluster.apply_one("", &project).await?;
    Ok(())
}

/// A ConfigMap with 2 KB of data.
pub(super) fn config_map(name: &str, annotations: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "annotations": annotations},
        "data": {KEY: payload(name)},
    })
}

/// 2 KB of data.
pub(super) fn payload(seed: &str) -> String {
    seed.chars().cycle().take(DATA).collect()
}

/// An Application that syncs by itself.
pub(super) fn application(name: &str, repository: &str, path: &str) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": Which::ArgoCdLite.namespace()},
        "spec": {
            "project": "default",
            "source": {"repoURL": repository, "path": path, "targetRevision": "main"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": TARGET},
            "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
        },
    })
}

/// Creates Applications and waits until all of the namespace's have converged.
pub(super) async fn converge(
    session: &Session<'_>,
    subject: &Subject,
    applications: Vec<Value>,
) -> Result<Outcome> {
    let (namespace, client) = (Which::ArgoCdLite.namespace(), session.bed.client()?);
    let cluster = session.bed.cluster()?;
    let api = cluster
        .api("argoproj.io/v1alpha1", "Application", namespace)
        .await?;
    let before = api.list_metadata(&ListParams::default()).await?.items.len();
    let expected = before + applications.len();
    let watched = statuses::<Status>(client, namespace, "Application", "applications");
    let start = Instant::now();
    let wait = until_all(
        watched,
        expected,
        start,
        session.plan.deadline,
        subject,
        converged,
    );
    let (sent, mut reached): (load::Sent, Reached) =
        tokio::try_join!(load::create(&api, applications), wait)?;
    // Those of an earlier case are not this one's.
    reached.at.retain(|name, _| sent.contains_key(name));
    Ok(Outcome::of(&reached, &sent, start))
}

/// ConfigMaps in the target namespace, without the one that every namespace has.
pub(super) async fn config_maps(session: &Session<'_>) -> Result<u64> {
    let api: Api<ConfigMap> = Api::namespaced(session.bed.client()?, TARGET);
    let list = api
        .list_metadata(&ListParams::default())
        .await
        .context("counting ConfigMaps")?;
    let own = list.items.iter().filter(|object| {
        object
            .metadata
            .name
            .as_deref()
            .is_some_and(|name| name != "kube-root-ca.crt")
    });
    Ok(as_u64(own.count()))
}
