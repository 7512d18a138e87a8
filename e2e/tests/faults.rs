//! Faults: processes killed at any moment, standbys that take over, a control plane and a bus that come back.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

#[path = "faults/events.rs"]
mod events;
#[path = "faults/pipeline.rs"]
mod pipeline;
mod scene;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::Options;
use e2e::chance::Moments;
use e2e::stack::{Setup, Which, patient_lease, quick_lease};
use kube::api::ListParams;
use pipeline::{deliver, made, pipeline, ready};
use scene::{Scene, config_map, job, synced_and_healthy};
use serde_json::{Value, json};

const AUTOMATED: &str =
    "{automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}";
/// How often each binary is killed.
const ROUNDS: u64 = 4;

fn options() -> Options {
    Options {
        prometheus: false,
        sample: false,
        ..Options::default()
    }
}

/// A bed with one operator, whose successor need not wait long for the lease.
async fn quick(options: Options, which: Which) -> Result<Scene> {
    let mut scene = Scene::set(options, &[]).await?;
    let setup = Setup {
        args: quick_lease(),
        ..Setup::default()
    };
    scene.add(which, &setup).await?;
    Ok(scene)
}

const ROLLOUT: &str = r"
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  replicas: 4
  selector: {matchLabels: {app: web}}
  strategy: {canary: {maxSurge: 1, maxUnavailable: 0, steps: [{setWeight: 25}, {pause: {duration: 1s}}, {setWeight: 50}, {pause: {duration: 1s}}]}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: 'web:v0'}]}
";

/// Waits until the Rollout runs `image` alone.
async fn until_promoted(scene: &Scene, image: &str) -> Result<()> {
    let what = format!("promoted to {image}");
    let promoted = |ro: &Value| {
        ro["spec"]["template"]["spec"]["containers"][0]["image"] == image
            && scene::observed(ro)
            && ro["status"]["phase"] == "Healthy"
            && ro["status"]["stableRS"] == ro["status"]["currentPodHash"]
            && ro["status"]["updatedReplicas"] == 4
    };
    scene
        .until("Rollout", "default", "web", &what, promoted)
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rollouts_killed_at_any_moment_ends_where_it_would_have_ended() -> Result<()> {
    let scene = quick(
        Options {
            nats: false,
            git: false,
            ..options()
        },
        Which::Rollouts,
    )
    .await?;
    let mut moments = Moments::new();
    scene.apply("default", ROLLOUT).await?;
    until_promoted(&scene, "web:v0").await?;
    for round in 1..=ROUNDS {
        let image = format!("web:v{round}");
        scene
            .apply("default", &ROLLOUT.replace("web:v0", &image))
            .await?;
        moments.pass(Duration::from_secs(3)).await;
        scene
            .operator(Which::Rollouts)?
            .operator
            .kill_and_restart()
            .await?;
        until_promoted(&scene, &image).await?;
    }
    let sets = scene
        .api("apps/v1", "ReplicaSet", "default")
        .await?
        .list(&ListParams::default())
        .await?;
    assert_eq!(
        sets.items.len() as u64,
        ROUNDS + 1,
        "a ReplicaSet was made twice"
    );
    let running: i64 = sets
        .items
        .iter()
        .filter_map(|set| set.data["spec"]["replicas"].as_i64())
        .sum();
    assert_eq!(running, 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn argo_cd_lite_killed_at_any_moment_runs_no_hook_twice() -> Result<()> {
    let scene = quick(
        Options {
            nats: false,
            ..options()
        },
        Which::ArgoCdLite,
    )
    .await?;
    let mut moments = Moments::new();
    for round in 1..=ROUNDS {
        let name = format!("round-{round}");
        scene
            .follow(
                &name,
                AUTOMATED,
                &[
                    (
                        "app/0.yaml",
                        &job(
                            "generateName: before-",
                            "argocd.argoproj.io/hook: PreSync",
                            "[sleep, '1']",
                        ),
                    ),
                    ("app/1.yaml", &config_map("a", "1", "")),
                    (
                        "app/2.yaml",
                        &job(
                            "name: middle",
                            "argocd.argoproj.io/sync-wave: '1'",
                            "[sleep, '1']",
                        ),
                    ),
                    (
                        "app/3.yaml",
                        &config_map("b", "1", "argocd.argoproj.io/sync-wave: '2'"),
                    ),
                    (
                        "app/4.yaml",
                        &job(
                            "generateName: after-",
                            "argocd.argoproj.io/hook: PostSync",
                            "['true']",
                        ),
                    ),
                ],
            )
            .await?;
        moments.pass(Duration::from_secs(4)).await;
        scene
            .operator(Which::ArgoCdLite)?
            .operator
            .kill_and_restart()
            .await?;
        scene
            .until_application(&name, "Synced, Healthy, Succeeded", |app| {
                synced_and_healthy(app) && app["status"]["operationState"]["phase"] == "Succeeded"
            })
            .await?;
        let jobs = scene
            .api("batch/v1", "Job", &name)
            .await?
            .list(&ListParams::default())
            .await?;
        for hook in ["before-", "after-"] {
            let names = jobs
                .items
                .iter()
                .filter_map(|job| job.metadata.name.as_deref());
            assert_eq!(
                names.filter(|name| name.starts_with(hook)).count(),
                1,
                "{name}: hook {hook} ran twice"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_restarts_interrupts_nothing() -> Result<()> {
    e2e::init_tls();
    let mut scene = Scene::set(options(), &[]).await?;
    for which in Which::ALL {
        let setup = Setup {
            args: patient_lease(),
            ..Setup::default()
        };
        scene.add(which, &setup).await?;
    }
    let port = scene.bed.free_port()?;
    scene
        .apply("default", &pipeline(&scene.bed.nats()?.url, port))
        .await?;
    ready(&scene).await?;
    scene.apply("default", ROLLOUT).await?;
    let (repository, _) = scene
        .follow(
            "restart",
            AUTOMATED,
            &[("app/a.yaml", &config_map("a", "1", ""))],
        )
        .await?;
    scene.until_synced("restart").await?;
    until_promoted(&scene, "web:v0").await?;
    scene
        .apply("default", &ROLLOUT.replace("web:v0", "web:v1"))
        .await?;
    scene.bed.control_plane()?.restart_apiserver().await?;
    let delivered = deliver(port, "after").await;
    all_run(&scene).await?;
    delivered?;
    until_promoted(&scene, "web:v1").await?;
    made(&scene, 1).await?;
    repository
        .commit(&[("app/a.yaml", &config_map("a", "2", ""))], "second")
        .await?;
    scene.refresh("restart", "normal").await?;
    scene
        .until_any(
            "v1",
            "ConfigMap",
            "restart",
            "a",
            "the second commit",
            |map| map["data"]["value"] == "2",
        )
        .await?;
    all_run(&scene).await
}

/// An error that quotes the log when one of the operators has ended.
async fn all_run(scene: &Scene) -> Result<()> {
    for deployed in &scene.operators {
        deployed
            .operator
            .part
            .check()
            .await
            .with_context(|| format!("{} has ended", deployed.which.name()))?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_takes_over_when_the_leader_is_killed() -> Result<()> {
    e2e::init_tls();
    let mut scene = Scene::set(options(), &[]).await?;
    for which in Which::ALL {
        for replica in 1..=2 {
            let setup = Setup {
                args: quick_lease(),
                replica: Some(replica),
                installed: replica > 1,
                ..Setup::default()
            };
            scene.add(which, &setup).await?;
        }
    }
    let port = scene.bed.free_port()?;
    scene
        .apply("default", &pipeline(&scene.bed.nats()?.url, port))
        .await?;
    ready(&scene).await?;
    scene.apply("default", ROLLOUT).await?;
    until_promoted(&scene, "web:v0").await?;
    // The first replica of each was started first and leads.
    for deployed in scene.operators.iter().step_by(2) {
        deployed.operator.part.kill().await?;
    }
    deliver(port, "after").await?;
    made(&scene, 1).await?;
    scene
        .apply("default", &ROLLOUT.replace("web:v0", "web:v1"))
        .await?;
    until_promoted(&scene, "web:v1").await?;
    scene
        .follow(
            "standby",
            AUTOMATED,
            &[("app/a.yaml", &config_map("a", "1", ""))],
        )
        .await?;
    scene.until_synced("standby").await?;
    Ok(())
}

/// A lease that nobody takes over within a test.
fn long_lease() -> Vec<String> {
    [
        "--leader-election-lease-duration=10m",
        "--leader-election-renew-deadline=9m",
        "--leader-election-retry-period=1s",
    ]
    .map(str::to_owned)
    .to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_serves_and_acts_again_without_waiting_for_its_own_lease() -> Result<()> {
    e2e::init_tls();
    let mut scene = Scene::set(
        Options {
            git: false,
            ..options()
        },
        &[],
    )
    .await?;
    let setup = Setup {
        args: long_lease(),
        env: vec![("POD_NAME".to_owned(), "events-0".to_owned())],
        ..Setup::default()
    };
    scene.add(Which::Events, &setup).await?;
    let port = scene.bed.free_port()?;
    scene
        .apply("default", &pipeline(&scene.bed.nats()?.url, port))
        .await?;
    ready(&scene).await?;
    deliver(port, "before").await?;
    made(&scene, 1).await?;
    let events = scene.operator(Which::Events)?;
    events.operator.kill_and_restart().await?;
    deliver(port, "after").await?;
    made(&scene, 2).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_receives_webhooks_while_nobody_leads() -> Result<()> {
    e2e::init_tls();
    let mut scene = Scene::set(options(), &[]).await?;
    for replica in 1..=2 {
        let mut args = long_lease();
        args.push("--app-resync=0".to_owned());
        let setup = Setup {
            args,
            replica: Some(replica),
            installed: replica > 1,
            env: vec![("POD_NAME".to_owned(), format!("argo-cd-lite-{replica}"))],
            ..Setup::default()
        };
        scene.add(Which::ArgoCdLite, &setup).await?;
    }
    let policy = "{automated: {}, syncOptions: [CreateNamespace=true]}";
    let files = [("app/a.yaml", config_map("a", "1", ""))];
    let files: Vec<(&str, &str)> = files.iter().map(|(p, c)| (*p, c.as_str())).collect();
    let (repository, _) = scene.follow("pushed", policy, &files).await?;
    scene.until_synced("pushed").await?;
    let leader = scene.operator(Which::ArgoCdLite)?;
    leader.operator.part.kill().await?;
    let changed = config_map("a", "2", "");
    let commit = repository
        .commit(&[("app/a.yaml", changed.as_str())], "second")
        .await?;
    let answer = reqwest::Client::new()
        .post(format!("{}/api/webhook", scene.operators[1].addresses[1]))
        .header("x-github-event", "push")
        .json(&json!({"repository": {"html_url": repository.url}}))
        .timeout(Duration::from_secs(10))
        .send()
        .await?;
    ensure!(answer.status().is_success(), "{}", answer.status());
    // The push waits for a leader: the first replica, which takes its lease back in its pod.
    leader.operator.start().await?;
    scene
        .until_application("pushed", "at the pushed commit", |app| {
            app["status"]["sync"]["revision"] == commit.as_str() && synced_and_healthy(app)
        })
        .await?;
    Ok(())
}
