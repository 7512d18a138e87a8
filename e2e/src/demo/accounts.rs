//! The accounts of the story: everything was done, and nothing twice.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use futures::TryStreamExt as _;
use k8s_openapi::api::batch::v1::Job;
use kube::api::ListParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use tokio_util::task::AbortOnDropHandle;

use super::{Stage, manifests};

/// Commits of the story: the shop, v2, the bad version, its revert.
const COMMITS: usize = 4;
/// Pod templates of the story: v1, v2, the bad version.
const VERSIONS: usize = 3;
/// Analyses of the story: of v2, and of the bad version.
const ANALYSES: usize = 2;

/// Counts the Jobs that were ever made: each run of the hook is a Job of the same name, with a uid of its own.
pub(super) struct HookRuns {
    uids: Arc<Mutex<BTreeSet<String>>>,
    _watch: AbortOnDropHandle<()>,
}

impl HookRuns {
    pub(super) fn start(client: Client) -> Self {
        let uids = Arc::<Mutex<BTreeSet<String>>>::default();
        let shared = uids.clone();
        let api: Api<Job> = Api::namespaced(client, manifests::NAMESPACE);
        let watch = tokio::spawn(async move {
            let jobs = watcher(api, watcher::Config::default()).default_backoff();
            let mut jobs = Box::pin(jobs.touched_objects());
            loop {
                match jobs.try_next().await {
                    Ok(Some(job)) => {
                        let mut uids = shared.lock().unwrap_or_else(PoisonError::into_inner);
                        uids.extend(job.uid());
                    }
                    Ok(None) => return,
                    Err(error) => tracing::debug!(%error, "counting hooks"),
                }
            }
        });
        Self {
            uids,
            _watch: AbortOnDropHandle::new(watch),
        }
    }

    fn count(&self) -> usize {
        self.uids
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .len()
    }
}

/// Compares what was done with what the story asked for.
pub(super) async fn balance(stage: &mut Stage, hooks: &HookRuns) -> Result<()> {
    stage.narrator.chapter("Nothing was done twice");
    let cluster = stage.bed.cluster()?;
    let application = cluster
        .get("argoproj.io/v1alpha1", "Application", "argocd", "shop")
        .await?
        .context("the Application is gone")?;
    let history = application.data["status"]["history"]
        .as_array()
        .map_or(0, Vec::len);
    let count = async |version: &str, kind: &str| {
        let api = cluster.api(version, kind, manifests::NAMESPACE).await?;
        anyhow::Ok(api.list(&ListParams::default()).await?.items.len())
    };
    let sets = count("apps/v1", "ReplicaSet").await?;
    let analyses = count("argoproj.io/v1alpha1", "AnalysisRun").await?;
    let runs = hooks.count();
    for (what, found, wanted) in [
        ("syncs in the history", history, COMMITS),
        ("runs of the PreSync Job", runs, COMMITS),
        ("ReplicaSets", sets, VERSIONS),
        ("AnalysisRuns", analyses, ANALYSES),
    ] {
        ensure!(found == wanted, "{found} {what} instead of {wanted}");
    }
    stage.narrator.say(&format!(
        "{COMMITS} commits, {history} syncs, {runs} runs of the PreSync Job, {sets} ReplicaSets of {VERSIONS} versions, {analyses} analyses"
    ));
    Ok(())
}
