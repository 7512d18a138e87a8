//! Processes of argo-cd-lite that share Applications by shards: one is killed, one joins, one stops, and every commit is
//! deployed once.

mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::Options;
use e2e::git::Repository;
use e2e::stack::{Deployed, Setup, Which, quick_lease};
use kube::api::{DeleteParams, ListParams};
use scene::{ARGO, PATIENCE, Scene, application, config_map, synced_and_healthy};
use serde_json::{Value, json};
use tempfile::TempDir;

const SHARDS: usize = 6;
const APPS: usize = 12;
const AUTOMATED: &str =
    "{automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}";

fn deployments(app: &Value) -> usize {
    app["status"]["history"].as_array().map_or(0, Vec::len)
}

fn name(n: usize) -> String {
    format!("app-{n}")
}

/// Processes that share, with a cache each.
struct Pool {
    scene: Scene,
    caches: Vec<TempDir>,
    repository: Repository,
}

impl Pool {
    async fn add(&mut self) -> Result<()> {
        let cache = tempfile::tempdir()?;
        let mut args = quick_lease();
        args.extend([
            // What is deployed comes of a push.
            "--app-resync=0".to_owned(),
            format!("--cache-dir={}", cache.path().display()),
        ]);
        let setup = Setup {
            args,
            values: vec![format!("controller.shards={SHARDS}")],
            replica: Some(u32::try_from(self.caches.len())?),
            installed: !self.caches.is_empty(),
            ..Setup::default()
        };
        self.caches.push(cache);
        self.scene.add(Which::ArgoCdLite, &setup).await
    }

    fn process(&self, index: usize) -> &Deployed {
        &self.scene.operators[index]
    }

    /// How many shards each holder has.
    async fn shares(&self) -> Result<BTreeMap<String, usize>> {
        let api = self
            .scene
            .api("coordination.k8s.io/v1", "Lease", "argocd")
            .await?;
        let mut shares = BTreeMap::new();
        for lease in api.list(&ListParams::default()).await? {
            let name = lease.metadata.name.unwrap_or_default();
            let shard = name.strip_prefix("argo-cd-lite-shard-").unwrap_or_default();
            let is_shard =
                shard.ends_with(&format!("-of-{SHARDS}")) && !shard.starts_with("worker");
            let holder = lease.data["spec"]["holderIdentity"]
                .as_str()
                .unwrap_or_default();
            if is_shard && !holder.is_empty() {
                *shares.entry(holder.to_owned()).or_default() += 1;
            }
        }
        Ok(shares)
    }

    /// Waits until so many processes hold all shards, none more than the others by much.
    async fn until_shared_by(&self, processes: usize) -> Result<()> {
        let begin = Instant::now();
        loop {
            let shares = self.shares().await?;
            let all = shares.values().sum::<usize>() == SHARDS;
            let least = shares.values().min().copied().unwrap_or_default();
            if all && shares.len() == processes && least + 1 >= SHARDS / processes {
                return Ok(());
            }
            ensure!(
                begin.elapsed() < PATIENCE,
                "not shared by {processes}: {shares:?}\n{}",
                self.scene.logs()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Commits a new value for each Application and tells one process of it.
    async fn push(&self, value: &str, to: usize) -> Result<String> {
        let files: Vec<(String, String)> = (0..APPS)
            .map(|n| {
                (
                    format!("{}/map.yaml", name(n)),
                    config_map("map", value, ""),
                )
            })
            .collect();
        let files: Vec<(&str, &str)> = files
            .iter()
            .map(|(path, text)| (&**path, &**text))
            .collect();
        let commit = self.repository.commit(&files, value).await?;
        let answer = reqwest::Client::new()
            .post(format!("{}/api/webhook", self.process(to).addresses[1]))
            .header("x-github-event", "push")
            .json(&json!({"repository": {"html_url": self.repository.url}}))
            .timeout(Duration::from_secs(10))
            .send()
            .await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        Ok(commit)
    }

    /// Waits until every Application has deployed the commit, its `count`th one, and each of these once.
    async fn until_deployed(&self, commit: &str, value: &str, count: usize) -> Result<()> {
        for n in 0..APPS {
            let name = name(n);
            let app = self
                .scene
                .until_application(&name, "at the pushed commit", |app| {
                    app["status"]["sync"]["revision"] == commit
                        && synced_and_healthy(app)
                        && deployments(app) >= count
                })
                .await?;
            ensure!(
                deployments(&app) == count,
                "{name}: {}",
                app["status"]["history"]
            );
            let map = self
                .scene
                .bed
                .cluster()?
                .get("v1", "ConfigMap", &name, "map")
                .await?;
            let map = map.context("the ConfigMap")?;
            ensure!(
                map.data["data"]["value"] == value,
                "{name}: {}",
                map.data["data"]
            );
        }
        Ok(())
    }

    /// The Applications of which a process shows this series.
    async fn shown(&self, index: usize, series: &str) -> Result<BTreeSet<String>> {
        let text = reqwest::get(self.process(index).metrics())
            .await?
            .text()
            .await?;
        let lines = text
            .lines()
            .filter(|line| line.starts_with(&format!("{series}{{")));
        let name_of = |line: &str| {
            let (_, rest) = line.split_once(",name=\"")?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        Ok(lines.filter_map(name_of).collect())
    }

    /// Waits until each process shows its own Applications, and has synced some of them. A shard may be on its way.
    async fn until_divided(&self) -> Result<()> {
        let all: BTreeSet<String> = (0..APPS).map(name).collect();
        let begin = Instant::now();
        loop {
            let (one, other) = (
                self.shown(0, "argocd_app_info").await?,
                self.shown(1, "argocd_app_info").await?,
            );
            let (synced, by_other) = (
                self.shown(0, "argocd_app_sync_total").await?,
                self.shown(1, "argocd_app_sync_total").await?,
            );
            let divided = one.is_disjoint(&other) && &one | &other == all;
            if divided && !synced.is_empty() && !by_other.is_empty() {
                ensure!(
                    synced.is_disjoint(&by_other),
                    "synced by two: {synced:?} and {by_other:?}"
                );
                return Ok(());
            }
            ensure!(
                begin.elapsed() < PATIENCE,
                "not divided: {one:?} and {other:?}, synced {synced:?} and {by_other:?}"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_commit_is_deployed_once_while_processes_are_killed_join_and_stop() -> Result<()> {
    e2e::init_tls();
    let scene = Scene::set(Options::git_only(), &[]).await?;
    let repository = scene.bed.git()?.repository("shards").await?;
    let mut pool = Pool {
        scene,
        caches: Vec::new(),
        repository,
    };
    pool.add().await?;
    pool.add().await?;
    pool.until_shared_by(2).await?;
    let first = pool.push("1", 0).await?;
    for n in 0..APPS {
        let name = name(n);
        let manifest = application(&name, &pool.repository.url, &name, &name, AUTOMATED);
        pool.scene.apply("argocd", &manifest).await?;
    }
    pool.until_deployed(&first, "1", 1).await?;

    pool.until_divided().await?;

    // A push to a process that does not act for half of them, while the other process is dead.
    pool.process(1).operator.part.kill().await?;
    let second = pool.push("2", 0).await?;
    pool.until_deployed(&second, "2", 2).await?;
    pool.until_shared_by(1).await?;

    pool.add().await?;
    pool.until_shared_by(2).await?;
    let third = pool.push("3", 2).await?;
    pool.until_deployed(&third, "3", 3).await?;
    ensure!(
        !pool.shown(2, "argocd_app_sync_total").await?.is_empty(),
        "the new process has no part"
    );

    pool.process(0).operator.part.stop().await?;
    pool.until_shared_by(1).await?;
    let fourth = pool.push("4", 2).await?;
    pool.until_deployed(&fourth, "4", 4).await?;

    let api = pool.scene.api(ARGO, "Application", "argocd").await?;
    api.delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    for n in 0..APPS {
        let name = name(n);
        pool.scene
            .until_gone(ARGO, "Application", "argocd", &name)
            .await?;
        pool.scene
            .until_gone("v1", "ConfigMap", &name, "map")
            .await?;
    }
    Ok(())
}
