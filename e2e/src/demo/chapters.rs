//! The chapters of the story.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::json;

use super::follow::Follower;
use super::{Stage, manifests};
use crate::cluster::{condition, wait_for};
use crate::load::Load;
use crate::sample::SAMPLE_PORT;

/// Longest wait for a step of the story; each normally takes a fraction of it.
const PATIENCE: Duration = Duration::from_secs(60);
const ARGO: &str = "argoproj.io/v1alpha1";

async fn api(
    stage: &Stage,
    version: &str,
    kind: &str,
    namespace: &str,
) -> Result<Api<DynamicObject>> {
    stage.bed.cluster()?.api(version, kind, namespace).await
}

/// Connects pushes to the Application: bus, source, sensor.
pub(super) async fn connect(stage: &mut Stage, port: u16) -> Result<()> {
    stage
        .narrator
        .chapter("Events: a push will refresh the Application");
    let nats = stage.bed.nats()?.url.clone();
    let cluster = stage.bed.cluster()?;
    cluster.apply("argo-events", manifests::RIGHTS).await?;
    cluster
        .apply("argo-events", &manifests::pipeline(&nats, port))
        .await?;
    for (kind, name) in [
        ("EventBus", "default"),
        ("EventSource", "git"),
        ("Sensor", "refresh"),
    ] {
        let api = api(stage, ARGO, kind, "argo-events").await?;
        wait_for(&api, name, "Deployed", PATIENCE, |object| {
            object.is_some_and(|object| {
                condition(&object.data, "Deployed").as_deref() == Some("True")
            })
        })
        .await
        .with_context(|| format!("{kind} {name}"))?;
        stage.narrator.say(&format!("{kind} {name} is deployed"));
    }
    Ok(())
}

/// Chapter 1: the Application appears; its PreSync Job runs, waves apply in order.
pub(super) async fn first_sync(stage: &mut Stage) -> Result<()> {
    stage.narrator.chapter("1. An Application is created");
    let prometheus = stage.bed.prometheus()?.url.clone();
    let files = [
        ("deploy/migrate.yaml", manifests::MIGRATION.to_owned()),
        ("deploy/settings.yaml", manifests::SETTINGS.to_owned()),
        (
            "deploy/service.yaml",
            manifests::service(&prometheus, SAMPLE_PORT),
        ),
        ("deploy/rollout.yaml", manifests::rollout("v1", SAMPLE_PORT)),
    ];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    let commit = stage.repository.commit(&files, "the shop").await?;
    let application = manifests::application(&stage.repository.url);
    stage.bed.cluster()?.apply("argocd", &application).await?;
    stage.narrator.begin("Application shop applied");
    let applications = api(stage, ARGO, "Application", "argocd").await?;
    let jobs = api(stage, "batch/v1", "Job", manifests::NAMESPACE).await?;
    let rollouts = api(stage, ARGO, "Rollout", manifests::NAMESPACE).await?;
    let job = wait_for(&jobs, "migrate", "Complete", PATIENCE, |job| {
        job.is_some_and(|job| condition(&job.data, "Complete").as_deref() == Some("True"))
    })
    .await?
    .context("the Job is there")?;
    stage.narrator.mark("PreSync Job migrate succeeded");
    wait_for(&rollouts, "shop", "applied", PATIENCE, |rollout| {
        rollout.is_some()
    })
    .await?;
    let settings = api(stage, "v1", "ConfigMap", manifests::NAMESPACE).await?;
    applied_after(&settings.get("settings").await?, &job)?;
    stage
        .narrator
        .mark("sync waves 0, 1 and 2 are applied: settings, service and analysis, rollout");
    let synced = in_order(&applications, &commit).await?;
    let resources = synced.data["status"]["resources"].as_array().map(Vec::len);
    stage.narrator.mark(&format!(
        "Application is Synced and Healthy ({} resources)",
        resources.unwrap_or(0)
    ));
    Ok(())
}

/// An error when an object was made before a Job had ended.
fn applied_after(object: &DynamicObject, job: &DynamicObject) -> Result<()> {
    let ended = job.data["status"]["completionTime"]
        .as_str()
        .context("a completed Job says when")?;
    let ended: jiff::Timestamp = ended.parse().context("the Job's completionTime")?;
    let made = object.metadata.creation_timestamp.as_ref();
    let made = made.context("an object says when it was made")?.0;
    ensure!(
        ended <= made,
        "{} was applied at {made}, before the PreSync Job ended at {ended}",
        object.metadata.name.as_deref().unwrap_or_default()
    );
    Ok(())
}

/// Waits until the Application is Synced to a commit, Healthy, and done with its operation.
async fn in_order(applications: &Api<DynamicObject>, commit: &str) -> Result<DynamicObject> {
    let reached = |object: &DynamicObject| {
        let status = &object.data["status"];
        status["sync"]["status"] == "Synced"
            && status["sync"]["revision"] == commit
            && status["health"]["status"] == "Healthy"
            && status["operationState"]["phase"] == "Succeeded"
    };
    let what = format!("Synced to {commit} and Healthy");
    let found = wait_for(applications, "shop", &what, PATIENCE, |object| {
        object.is_some_and(reached)
    });
    found.await?.context("the Application is there")
}

/// Returns when the Application is in order at the newest commit.
pub(super) async fn settled(stage: &Stage) -> Result<()> {
    let commit = stage.repository.git(&["rev-parse", "HEAD"]).await?;
    let applications = api(stage, ARGO, "Application", "argocd").await?;
    in_order(&applications, commit.trim()).await?;
    Ok(())
}

/// Pushes `version` and waits until the Application has synced it. The time of the push.
async fn release(stage: &mut Stage, version: &str, follower: &Follower) -> Result<Instant> {
    let rollout = manifests::rollout(version, SAMPLE_PORT);
    let pushed = Instant::now();
    let commit = stage
        .repository
        .commit(
            &[("deploy/rollout.yaml", &rollout)],
            &format!("release {version}"),
        )
        .await?;
    stage.narrator.begin(&format!(
        "git push: release {version} ({})",
        &commit[..7.min(commit.len())]
    ));
    let image = format!("shop/web:{version}");
    let (at, _) = follower
        .until(pushed, &format!("image {image}"), PATIENCE, |state| {
            state.image == image
        })
        .await?;
    stage.narrator.mark_at(
        at,
        "push -> EventSource -> JetStream -> Sensor -> Application refreshed and synced",
    );
    Ok(pushed)
}

/// Chapter 2: a good release is promoted.
pub(super) async fn promotion(stage: &mut Stage, follower: &Follower) -> Result<()> {
    stage
        .narrator
        .chapter("2. A commit with a new image is pushed");
    let pushed = release(stage, "v2", follower).await?;
    let is_new = |state: &super::follow::State| state.image.ends_with(":v2") && state.observed;
    let (at, _) = follower
        .until(pushed, "20 %", PATIENCE, |state| {
            is_new(state) && state.weight == 20 && state.updated >= 1
        })
        .await?;
    stage.narrator.mark_at(at, "20 %: one of five pods runs v2");
    let (at, state) = follower
        .until(pushed, "a running analysis", PATIENCE, |state| {
            is_new(state) && state.analysis.is_some()
        })
        .await?;
    let name = state.analysis.map(|(name, _)| name).unwrap_or_default();
    stage.narrator.mark_at(
        at,
        &format!("analysis {name} queries the success rate from Prometheus"),
    );
    let (at, _) = follower
        .until(pushed, "60 %", PATIENCE, |state| {
            is_new(state) && state.weight == 60
        })
        .await?;
    let runs = api(stage, ARGO, "AnalysisRun", manifests::NAMESPACE).await?;
    stage.narrator.mark_at(
        at,
        &format!("analysis successful{}: 60 %", measured(&runs, &name).await),
    );
    let (at, _) = follower
        .until(pushed, "Healthy at 100 %", PATIENCE, |state| {
            is_new(state) && state.weight == 100 && state.phase == "Healthy"
        })
        .await?;
    stage
        .narrator
        .mark_at(at, "100 %: v2 is promoted, the Rollout is Healthy");
    Ok(())
}

/// The values that an analysis measured, for the story.
async fn measured(runs: &Api<DynamicObject>, name: &str) -> String {
    let Ok(Some(run)) = runs.get_opt(name).await else {
        return String::new();
    };
    let Some(measurements) = run.data["status"]["metricResults"][0]["measurements"].as_array()
    else {
        return String::new();
    };
    let values: Vec<&str> = measurements
        .iter()
        .filter_map(|one| one["value"].as_str())
        .collect();
    format!(" (measured {})", values.join(" "))
}

/// Chapter 3: a bad release is caught and rolled back while the stable version serves.
pub(super) async fn rollback(stage: &mut Stage, follower: &Follower, load: &Load) -> Result<()> {
    stage.narrator.chapter("3. A bad version is pushed");
    drop(load.take());
    let pushed = release(stage, "bad-v3", follower).await?;
    let is_bad = |state: &super::follow::State| state.image.ends_with(":bad-v3") && state.observed;
    let (at, state) = follower
        .until(pushed, "a running analysis", PATIENCE, |state| {
            is_bad(state) && state.analysis.is_some() && state.weight == 20
        })
        .await?;
    let name = state.analysis.map(|(name, _)| name).unwrap_or_default();
    stage.narrator.mark_at(
        at,
        &format!("20 %: one pod runs bad-v3, analysis {name} starts"),
    );
    let (at, state) = follower
        .until(pushed, "an abort", PATIENCE, |state| {
            is_bad(state) && state.phase == "Degraded" && state.aborted
        })
        .await?;
    let runs = api(stage, ARGO, "AnalysisRun", manifests::NAMESPACE).await?;
    stage.narrator.mark_at(
        at,
        &format!("analysis failed{}: aborted", measured(&runs, &name).await),
    );
    stage.narrator.say(&format!("reason: {}", state.message));
    let (at, _) = follower
        .until(at, "no pod of the bad version", PATIENCE, |state| {
            is_bad(state) && state.updated == 0
        })
        .await?;
    stage
        .narrator
        .mark_at(at, "the bad pod is deleted, v2 serves all traffic");
    let during = load.take();
    let bad = during
        .answers
        .iter()
        .filter(|((version, _), _)| version.contains("bad"))
        .map(|(_, n)| n)
        .sum::<u64>();
    stage.narrator.say(&format!(
        "meanwhile {} requests: {} good answers from v2, {bad} answers from the bad pod",
        during.sent,
        during.good("v2")
    ));
    serves(stage, load).await?;
    revert(stage).await
}

/// The commit is taken back, and the Application is whole again.
async fn revert(stage: &mut Stage) -> Result<()> {
    stage
        .repository
        .git(&["revert", "--no-edit", "HEAD"])
        .await?;
    let commit = stage
        .repository
        .git(&["rev-parse", "HEAD"])
        .await?
        .trim()
        .to_owned();
    stage.repository.push().await?;
    stage.narrator.begin("git revert; git push");
    let applications = api(stage, ARGO, "Application", "argocd").await?;
    in_order(&applications, &commit).await?;
    stage
        .narrator
        .mark("Git has v2 again; the Application is Synced and Healthy");
    Ok(())
}

/// The stable version alone answers, without errors: a stretch of requests in which nothing else happened. Requests
/// that were under way when the bad pod went may still end badly, so a first stretch may fail.
async fn serves(stage: &Stage, load: &Load) -> Result<()> {
    const REQUESTS: u64 = 60;
    let begin = Instant::now();
    drop(load.take());
    let mut tally = load.tally();
    while begin.elapsed() < PATIENCE {
        tokio::time::sleep(Duration::from_millis(100)).await;
        tally = load.tally();
        if tally.failed() > 0 {
            drop(load.take());
        } else if tally.good("v2") >= REQUESTS {
            stage.narrator.say(&format!(
                "now {} requests: all answered by v2, no error",
                tally.good("v2")
            ));
            return Ok(());
        }
    }
    bail!("the stable version does not serve as it should: {tally:?}")
}

/// Chapter 4: a live object is edited by hand and healed.
pub(super) async fn healing(stage: &mut Stage) -> Result<()> {
    stage.narrator.chapter("4. A live object is edited by hand");
    let maps = api(stage, "v1", "ConfigMap", manifests::NAMESPACE).await?;
    let patch = Patch::Merge(json!({ "data": { "currency": "XXX" } }));
    maps.patch("settings", &PatchParams::default(), &patch)
        .await?;
    stage
        .narrator
        .begin("kubectl patch configmap settings: currency EUR -> XXX");
    wait_for(&maps, "settings", "the value of Git", PATIENCE, |map| {
        map.is_some_and(|map| map.data["data"]["currency"] == "EUR")
    })
    .await?;
    stage.narrator.mark("self-heal: currency is EUR again");
    Ok(())
}

/// The ends of the operators' logs, after a failure.
pub(super) fn show_logs(stage: &Stage) {
    for deployed in stage.operators.iter() {
        stage.narrator.say(&format!(
            "the end of {}:\n{}",
            deployed.operator.part.log().display(),
            deployed.operator.part.tail()
        ));
    }
}
