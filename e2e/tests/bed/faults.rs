//! Each part of the control plane ends and comes back with everything it knew; rights and streamed lists are real.

use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::cluster::wait_for;
use e2e::{Bed, Options};
use futures::{AsyncBufReadExt as _, TryStreamExt as _};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::Value;

const SOON: Duration = Duration::from_mins(1);

#[tokio::test]
async fn the_control_plane_survives_the_death_of_its_parts() -> Result<()> {
    let bed = Bed::up(Options::cluster_only()).await?;
    let (cluster, plane) = (bed.cluster()?, bed.control_plane()?);
    let ns = cluster.namespace("faults").await?;
    let keep = "{apiVersion: v1, kind: ConfigMap, metadata: {name: keep}, data: {a: b}}";
    cluster.apply(&ns, keep).await?;
    plane.restart_apiserver().await?;
    plane.etcd.kill().await?;
    plane.etcd.start().await?;
    plane.until_etcd().await?;
    plane.until_apiserver().await?;
    let api = cluster.api("v1", "ConfigMap", &ns).await?;
    wait_for(&api, "keep", "existence", SOON, |found| found.is_some()).await?;

    // Without a controller manager no pods; with it they come.
    plane.controller_manager.stop().await?;
    assert!(plane.controller_manager.usage().await.is_none());
    let deployment = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'web:1'}]}
";
    cluster.apply(&ns, deployment).await?;
    plane.controller_manager.start().await?;
    let api = cluster.api("apps/v1", "Deployment", &ns).await?;
    wait_for(&api, "web", "two ready replicas", SOON, |web| {
        web.is_some_and(|web| web.data["status"]["readyReplicas"] == 2)
    })
    .await?;
    assert!(plane.apiserver.usage().await.context("it runs")?.rss_kib > 10_000);
    Ok(())
}

#[tokio::test]
async fn a_service_account_has_its_rights_and_no_more() -> Result<()> {
    let bed = Bed::up(Options::cluster_only()).await?;
    let cluster = bed.cluster()?;
    let ns = cluster.namespace("rights").await?;
    let rights = "
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [''], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: reader}]
";
    cluster.apply(&ns, rights).await?;
    let path = cluster.service_account_kubeconfig(&ns, "reader").await?;
    let kubeconfig = Kubeconfig::read_from(path)?;
    let config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
    assert_eq!(config.default_namespace, ns);
    let client = kube::Client::try_from(config)?;
    let get = async |path: String| {
        client
            .request::<Value>(http::Request::get(path).body(Vec::new())?)
            .await
            .map_err(anyhow::Error::from)
    };
    get(format!("/api/v1/namespaces/{ns}/configmaps")).await?;
    let refused = get(format!("/api/v1/namespaces/{ns}/secrets"))
        .await
        .err()
        .context("refused")?;
    assert!(refused.to_string().contains("forbidden"), "{refused}");
    Ok(())
}

/// The list as a stream of watch events, ended by a bookmark.
#[tokio::test]
async fn lists_can_be_streamed() -> Result<()> {
    let bed = Bed::up(Options::cluster_only()).await?;
    let client = bed.client()?;
    let url = "/api/v1/namespaces?watch=1&sendInitialEvents=true&allowWatchBookmarks=true\
               &resourceVersionMatch=NotOlderThan";
    let stream = client
        .request_stream(http::Request::get(url).body(Vec::new())?)
        .await?;
    let mut lines = stream.lines();
    let mut names = Vec::new();
    loop {
        let line = tokio::time::timeout(SOON, lines.try_next())
            .await??
            .context("it ended")?;
        let event: Value = serde_json::from_str(&line)?;
        let metadata = &event["object"]["metadata"];
        if event["type"] == "BOOKMARK" {
            assert_eq!(metadata["annotations"]["k8s.io/initial-events-end"], "true");
            break;
        }
        names.push(metadata["name"].as_str().context("a name")?.to_owned());
    }
    assert!(names.iter().any(|name| name == "kube-system"), "{names:?}");
    Ok(())
}
