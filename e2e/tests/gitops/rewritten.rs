//! A history that is rewritten while a sync is in work.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_ends_with_the_commit_that_it_began_with_and_the_new_head_follows() -> Result<()> {
    let scene = scene().await?;
    let before = job(
        "generateName: before-",
        "argocd.argoproj.io/hook: PreSync",
        "[sleep, '8']",
    );
    let files = [
        ("app/0.yaml", before),
        ("app/1.yaml", config_map("of-old", "1", "")),
        ("app/2.yaml", config_map("of-both", "old", "")),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    let (repository, old) = scene.follow("rewritten", AUTOMATED, &files).await?;
    scene
        .until_application("rewritten", "syncing the first commit", |app| {
            let state = &app["status"]["operationState"];
            state["phase"] == "Running" && state["syncResult"]["revision"] == json!(old)
        })
        .await?;

    // Another root commit takes the place of the branch, and the server forgets the old one.
    for args in [
        &["checkout", "--quiet", "--orphan", "other"][..],
        &["rm", "--quiet", "-r", "--force", "."],
    ] {
        repository.git(args).await?;
    }
    repository
        .write("app/2.yaml", &config_map("of-both", "new", ""))
        .await?;
    let new = repository.commit_only("another history").await?;
    repository
        .git(&["push", "--quiet", "--force", "origin", "HEAD:main"])
        .await?;
    let address = repository.file_url();
    let bare = address.strip_prefix("file://").context("a path")?;
    repository
        .git(&["-C", bare, "gc", "--quiet", "--prune=now"])
        .await?;
    let kept = repository.git(&["-C", bare, "cat-file", "-e", &old]).await;
    assert!(kept.is_err(), "the server still has the old commit");
    scene.refresh("rewritten", "normal").await?;

    let done = scene
        .until_application("rewritten", "Synced with the new head", |app| {
            synced_and_healthy(app) && app["status"]["sync"]["revision"] == json!(new)
        })
        .await?;
    let history = done["status"]["history"].as_array().cloned();
    let revisions: Vec<Value> = history
        .context("a history")?
        .iter()
        .map(|entry| entry["revision"].clone())
        .collect();
    assert_eq!(revisions, [json!(old), json!(new)], "each was synced whole");
    assert_eq!(
        value(&scene, "rewritten", "of-both").await?,
        Some(json!("new"))
    );
    assert_eq!(value(&scene, "rewritten", "of-old").await?, None, "pruned");
    Ok(())
}
