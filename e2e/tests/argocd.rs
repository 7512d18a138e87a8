//! Argo CD's own server, command line and ApplicationSet controller, unmodified, on argo-cd-lite in the place of its
//! application controller, repo-server and Redis.

#![allow(
    clippy::too_many_lines,
    unreachable_pub,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

#[path = "argocd/commands.rs"]
mod commands;
#[path = "argocd/components.rs"]
mod components;
#[path = "argocd/pages.rs"]
mod pages;
mod scene;
#[path = "argocd/sets.rs"]
mod sets;

use std::path::PathBuf;

use anyhow::Result;
use e2e::Options;
use e2e::stack::{Setup, Which};
use serde_json::json;

use components::{ArgoCd, Ports};
use scene::Scene;

/// A Deployment of one pod.
const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: 'demo/web:v1'}]}
";

/// A bed with argo-cd-lite, whose two protocols are on, and Argo CD's server in front of it.
async fn on_stage(program: PathBuf) -> Result<(Scene, ArgoCd)> {
    let mut scene = Scene::set(Options::git_only(), &[]).await?;
    let cluster = scene.bed.cluster()?;
    cluster.apply_namespace("argocd").await?;
    let login = json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "argocd-redis"},
        "stringData": {"auth": components::REDIS_PASSWORD},
    });
    cluster.apply_one("argocd", &login).await?;
    let ports = Ports {
        redis: scene.bed.free_port()?,
        repo_server: scene.bed.free_port()?,
    };
    let setup = Setup {
        args: vec![
            format!("--redis-port={}", ports.redis),
            format!("--repo-server-port={}", ports.repo_server),
        ],
        ..Setup::default()
    };
    scene.add(Which::ArgoCdLite, &setup).await?;
    let argocd = ArgoCd::start(&scene, program, ports).await?;
    Ok((scene, argocd))
}
