//! argo-cd-lite on a real control plane and a real Git server.

#![allow(
    clippy::too_many_lines,
    reason = "a scenario reads from top to bottom, with its manifests"
)]

#[path = "gitops/apply.rs"]
mod apply;
#[path = "gitops/hooks.rs"]
mod hooks;
#[path = "gitops/namespaces.rs"]
mod namespaces;
#[path = "gitops/rewritten.rs"]
mod rewritten;
mod scene;

use anyhow::{Context as _, Result};
use e2e::Options;
use e2e::git::Webhook;
use e2e::stack::{Setup, Which};
use scene::{Scene, config_map, job, synced_and_healthy};
use serde_json::{Value, json};

const AUTOMATED: &str =
    "{automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}";
const MANUAL: &str = "{syncOptions: [CreateNamespace=true]}";

fn options() -> Options {
    Options::git_only()
}

async fn scene() -> Result<Scene> {
    Scene::set(options(), &[Which::ArgoCdLite]).await
}

async fn with_args(args: &[&str]) -> Result<Scene> {
    let mut scene = Scene::set(options(), &[]).await?;
    let setup = Setup {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..Setup::default()
    };
    scene.add(Which::ArgoCdLite, &setup).await?;
    Ok(scene)
}

async fn value(scene: &Scene, namespace: &str, name: &str) -> Result<Option<Value>> {
    let api = scene.api("v1", "ConfigMap", namespace).await?;
    Ok(api
        .get_opt(name)
        .await?
        .map(|map| map.data["data"]["value"].clone()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_application_runs_its_hook_and_applies_its_waves_in_order() -> Result<()> {
    let scene = scene().await?;
    let (_, commit) = scene
        .follow(
            "waves",
            AUTOMATED,
            &[
                (
                    "app/0-job.yaml",
                    &job(
                        "generateName: before-",
                        "argocd.argoproj.io/hook: PreSync",
                        "[sleep, '1']",
                    ),
                ),
                (
                    "app/1.yaml",
                    &config_map("first", "1", "argocd.argoproj.io/sync-wave: '-1'"),
                ),
                ("app/2.yaml", &config_map("second", "2", "")),
                (
                    "app/3.yaml",
                    &job(
                        "name: middle",
                        "argocd.argoproj.io/sync-wave: '1'",
                        "[sleep, '1']",
                    ),
                ),
                (
                    "app/4.yaml",
                    &config_map("last", "4", "argocd.argoproj.io/sync-wave: '2'"),
                ),
                (
                    "app/5.yaml",
                    &job(
                        "name: after",
                        "argocd.argoproj.io/hook: PostSync",
                        "['true']",
                    ),
                ),
            ],
        )
        .await?;
    let done = scene
        .until_application("waves", "Synced and Healthy", |app| {
            synced_and_healthy(app) && app["status"]["operationState"]["phase"] == "Succeeded"
        })
        .await?;
    assert_eq!(done["status"]["sync"]["revision"], json!(commit));
    assert_eq!(done["status"]["history"][0]["id"], 0);
    assert_eq!(done["status"]["history"][0]["revision"], json!(commit));
    assert_eq!(done["status"]["sourceType"], "Directory");
    assert_eq!(
        done["status"]["operationState"]["operation"]["initiatedBy"]["automated"],
        true
    );

    let created = |object: &kube::api::DynamicObject| {
        object
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0)
            .context("a creation time")
    };
    let maps = scene.api("v1", "ConfigMap", "waves").await?;
    let jobs = scene.api("batch/v1", "Job", "waves").await?;
    let finished = |job: &kube::api::DynamicObject| {
        job.data["status"]["completionTime"]
            .as_str()
            .and_then(|text| text.parse::<jiff::Timestamp>().ok())
            .context("a completion time")
    };
    let all = jobs.list(&kube::api::ListParams::default()).await?;
    let before = all
        .iter()
        .find(|job| {
            job.metadata
                .name
                .as_deref()
                .unwrap_or_default()
                .starts_with("before-")
        })
        .context("the PreSync Job")?;
    assert!(
        finished(before)? <= created(&maps.get("first").await?)?,
        "applied before the PreSync hook ended"
    );
    assert!(
        finished(&jobs.get("middle").await?)? <= created(&maps.get("last").await?)?,
        "wave 2 began before wave 1 was healthy"
    );
    assert!(
        created(&maps.get("last").await?)? <= created(&jobs.get("after").await?)?,
        "PostSync ran before the last wave"
    );
    let hooks = all
        .iter()
        .filter(|job| {
            job.metadata
                .name
                .as_deref()
                .unwrap_or_default()
                .starts_with("before-")
        })
        .count();
    assert_eq!(hooks, 1, "the PreSync hook ran more than once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_synced_by_webhook_and_what_left_git_is_pruned() -> Result<()> {
    // A poll once an hour: only the webhook can bring the change in time.
    let scene = with_args(&["--app-resync=3600"]).await?;
    let (repository, _) = scene
        .follow(
            "push",
            AUTOMATED,
            &[
                ("app/a.yaml", &config_map("a", "1", "")),
                ("app/b.yaml", &config_map("b", "1", "")),
            ],
        )
        .await?;
    scene.until_synced("push").await?;
    let webhook = format!(
        "{}/api/webhook",
        scene.operator(Which::ArgoCdLite)?.addresses[1]
    );
    scene
        .bed
        .git()?
        .add_webhook(Webhook {
            url: webhook,
            secret: None,
        })
        .await;
    repository.remove("app/b.yaml").await?;
    let commit = repository
        .commit(&[("app/a.yaml", &config_map("a", "2", ""))], "second")
        .await?;
    scene
        .until_application("push", "Synced to the second commit", |app| {
            synced_and_healthy(app) && app["status"]["sync"]["revision"] == json!(commit)
        })
        .await?;
    scene.until_gone("v1", "ConfigMap", "push", "b").await?;
    assert_eq!(value(&scene, "push", "a").await?, Some(json!("2")));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_made_change_is_healed_and_a_deleted_object_comes_back() -> Result<()> {
    let scene = scene().await?;
    scene
        .follow(
            "heal",
            AUTOMATED,
            &[("app/a.yaml", &config_map("a", "1", ""))],
        )
        .await?;
    scene.until_synced("heal").await?;
    let maps = scene.api("v1", "ConfigMap", "heal").await?;
    let patch = kube::api::Patch::Merge(json!({"data": {"value": "edited"}}));
    maps.patch("a", &kube::api::PatchParams::default(), &patch)
        .await?;
    scene
        .until_any("v1", "ConfigMap", "heal", "a", "healed", |map| {
            map["data"]["value"] == "1"
        })
        .await?;
    let uid = maps.get("a").await?.metadata.uid;
    maps.delete("a", &kube::api::DeleteParams::default())
        .await?;
    e2e::cluster::wait_for(&maps, "a", "back", scene::PATIENCE, |map| {
        map.is_some_and(|map| map.metadata.uid != uid)
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_application_waits_for_an_operation_and_refreshes_on_request() -> Result<()> {
    let scene = scene().await?;
    let (repository, first) = scene
        .follow(
            "manual",
            MANUAL,
            &[("app/a.yaml", &config_map("a", "1", ""))],
        )
        .await?;
    scene
        .until_application("manual", "OutOfSync and Missing", |app| {
            app["status"]["sync"]["status"] == "OutOfSync"
                && app["status"]["health"]["status"] == "Missing"
        })
        .await?;
    let operation = json!({"operation": {"initiatedBy": {"username": "alice"}, "sync": {"revision": first, "syncOptions": ["CreateNamespace=true"]}}});
    scene
        .patch("Application", "argocd", "manual", operation)
        .await?;
    let done = scene
        .until_application("manual", "operation Succeeded", |app| {
            app["status"]["operationState"]["phase"] == "Succeeded"
                && app.get("operation").is_none_or(Value::is_null)
                && synced_and_healthy(app)
        })
        .await?;
    let results = done["status"]["operationState"]["syncResult"]["resources"]
        .as_array()
        .context("results")?;
    let result = results
        .iter()
        .find(|result| result["kind"] == "ConfigMap")
        .context("the ConfigMap's result")?;
    assert_eq!(
        (&result["name"], &result["status"]),
        (&json!("a"), &json!("Synced"))
    );
    assert_eq!(
        done["status"]["history"][0]["initiatedBy"]["username"],
        "alice"
    );

    repository
        .commit(&[("app/a.yaml", &config_map("a", "2", ""))], "second")
        .await?;
    scene.refresh("manual", "normal").await?;
    scene
        .until_application("manual", "OutOfSync", |app| {
            app["status"]["sync"]["status"] == "OutOfSync"
        })
        .await?;
    scene.until_refreshed("manual").await?;
    assert_eq!(
        value(&scene, "manual", "a").await?,
        Some(json!("1")),
        "a manual application must not sync by itself"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_an_application_deletes_what_it_deployed() -> Result<()> {
    let scene = scene().await?;
    scene
        .follow(
            "gone",
            AUTOMATED,
            &[("app/a.yaml", &config_map("a", "1", ""))],
        )
        .await?;
    scene.until_synced("gone").await?;
    let api = scene.api(scene::ARGO, "Application", "argocd").await?;
    api.delete("gone", &kube::api::DeleteParams::default())
        .await?;
    scene
        .until_gone(scene::ARGO, "Application", "argocd", "gone")
        .await?;
    assert_eq!(value(&scene, "gone", "a").await?, None);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_git_server_that_is_down_is_reported_and_nothing_is_pruned() -> Result<()> {
    // Without the three minutes for which a failing repository is not reported.
    let scene = with_args(&["--repo-error-grace-period-seconds=0"]).await?;
    let git = scene.bed.git()?;
    let (repository, _) = scene
        .follow(
            "down",
            AUTOMATED,
            &[("app/a.yaml", &config_map("a", "1", ""))],
        )
        .await?;
    scene.until_synced("down").await?;
    git.stop().await?;
    scene.refresh("down", "hard").await?;
    let reported = scene.until_refreshed("down").await?;
    let condition = reported["status"]["conditions"]
        .as_array()
        .and_then(|all| all.iter().find(|one| one["type"] == "ComparisonError"));
    assert!(condition.is_some(), "{reported:#}");
    assert_eq!(
        value(&scene, "down", "a").await?,
        Some(json!("1")),
        "pruned although Git could not be read"
    );
    repository
        .write("app/a.yaml", &config_map("a", "2", ""))
        .await?;
    repository.commit_only("second").await?;
    git.start().await?;
    repository.push().await?;
    scene.refresh("down", "hard").await?;
    scene
        .until_any("v1", "ConfigMap", "down", "a", "the second commit", |map| {
            map["data"]["value"] == "2"
        })
        .await?;
    scene.until_synced("down").await?;
    Ok(())
}
