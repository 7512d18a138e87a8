//! How objects are applied.

use super::*;

const DUPLICATES: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: e}
spec:
  replicas: 0
  selector: {matchLabels: {app: e}}
  template:
    metadata: {labels: {app: e}}
    spec:
      containers:
        - name: c
          image: demo/job:v1
          env: [{name: A, value: '1'}, {name: B, value: '2'}, {name: A, value: '3'}]
";

#[tokio::test(flavor = "multi_thread")]
async fn what_client_side_apply_accepts_is_synced_and_stays_so() -> Result<()> {
    let scene = scene().await?;
    let (repository, _) = scene
        .follow("twice", AUTOMATED, &[("app/e.yaml", DUPLICATES)])
        .await?;
    scene.until_synced("twice").await?;
    let deployments = scene.api("apps/v1", "Deployment", "twice").await?;
    let generation =
        async || -> Result<Option<i64>> { Ok(deployments.get("e").await?.metadata.generation) };
    let before = generation().await?;
    scene.refresh("twice", "hard").await?;
    let app = scene.until_refreshed("twice").await?;
    assert!(synced_and_healthy(&app), "{app:#}");
    assert_eq!(generation().await?, before, "nothing is written again");
    // A variable that Git drops goes, too.
    let fewer = DUPLICATES.replace("{name: B, value: '2'}, ", "");
    let commit = repository
        .commit(&[("app/e.yaml", &fewer)], "fewer")
        .await?;
    scene.refresh("twice", "normal").await?;
    scene
        .until_application("twice", "at the second commit", |app| {
            synced_and_healthy(app) && app["status"]["sync"]["revision"] == commit.as_str()
        })
        .await?;
    let env = deployments.get("e").await?.data["spec"]["template"]["spec"]["containers"][0]["env"]
        .to_string();
    assert!(!env.contains("\"B\""), "{env}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_waits_for_what_the_sync_brings_and_knows_force() -> Result<()> {
    let scene = scene().await?;
    let account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: runner}\n";
    let hook = r"
apiVersion: v1
kind: Pod
metadata: {name: check, annotations: {argocd.argoproj.io/hook: PostSync}}
spec:
  serviceAccountName: runner
  restartPolicy: Never
  containers: [{name: c, image: 'demo/job:v1', command: ['true']}]
";
    let forced = |command: &str| {
        job(
            "name: j",
            "argocd.argoproj.io/sync-options: 'Force=true,Replace=true'",
            command,
        )
    };
    let (repository, first) = scene
        .follow(
            "forced",
            AUTOMATED,
            &[
                ("app/account.yaml", account),
                ("app/hook.yaml", hook),
                ("app/job.yaml", &forced("['true']")),
                ("app/map.yaml", &config_map("x", "1", "")),
            ],
        )
        .await?;
    let at = |commit: String| {
        move |app: &Value| {
            synced_and_healthy(app)
                && app["status"]["sync"]["revision"] == commit.as_str()
                && app["status"]["operationState"]["phase"] == "Succeeded"
        }
    };
    scene
        .until_application("forced", "at the first commit", at(first))
        .await?;
    let jobs = scene.api("batch/v1", "Job", "forced").await?;
    let before = jobs.get("j").await?.metadata.uid;
    let second = repository
        .commit(
            &[
                ("app/job.yaml", &forced("[sleep, '0']")),
                ("app/map.yaml", &config_map("x", "2", "")),
            ],
            "second",
        )
        .await?;
    scene.refresh("forced", "normal").await?;
    scene
        .until_application("forced", "at the second commit", at(second))
        .await?;
    assert_ne!(
        jobs.get("j").await?.metadata.uid,
        before,
        "the Job is another one"
    );
    Ok(())
}
