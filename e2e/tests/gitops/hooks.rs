//! Hooks that fail.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_hook_fails_the_sync_and_runs_the_syncfail_hook() -> Result<()> {
    let scene = scene().await?;
    let policy = "{syncOptions: [CreateNamespace=true]}";
    scene
        .follow(
            "fails",
            policy,
            &[
                (
                    "app/0.yaml",
                    &job(
                        "name: before",
                        "argocd.argoproj.io/hook: PreSync",
                        "['false']",
                    ),
                ),
                ("app/1.yaml", &config_map("a", "1", "")),
                (
                    "app/2.yaml",
                    &config_map("alarm", "1", "argocd.argoproj.io/hook: SyncFail"),
                ),
            ],
        )
        .await?;
    scene
        .until_application("fails", "OutOfSync", |app| {
            app["status"]["sync"]["status"] == "OutOfSync"
        })
        .await?;
    scene
        .patch(
            "Application",
            "argocd",
            "fails",
            json!({"operation": {"sync": {"syncOptions": ["CreateNamespace=true"]}}}),
        )
        .await?;
    let done = scene
        .until_application("fails", "operation Failed", |app| {
            app["status"]["operationState"]["phase"] == "Failed"
        })
        .await?;
    scene
        .until_any("v1", "ConfigMap", "fails", "alarm", "created", |_| true)
        .await?;
    assert_eq!(
        value(&scene, "fails", "a").await?,
        None,
        "applied although the PreSync hook failed"
    );
    assert!(
        done["status"]["operationState"]["message"]
            .as_str()
            .is_some_and(|text| !text.is_empty())
    );
    Ok(())
}
