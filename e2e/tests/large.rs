//! An Application whose results do not fit into the largest object that the API server takes.

mod scene;

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::Options;
use e2e::cluster::wait_for;
use e2e::stack::Which;
use kube::api::ListParams;
use scene::{ARGO, Scene};

/// Objects of the first wave: their results alone have about 1.7 MB.
const FIRST: usize = 12_000;
/// Objects of the second one.
const SECOND: usize = 20;
/// Objects in one file.
const PER_FILE: usize = 500;
/// Each object is tried and applied; the machine may be busy.
const LONG: Duration = Duration::from_mins(20);

fn file(from: usize, to: usize, wave: u8) -> String {
    let mut text = String::new();
    for number in from..to {
        writeln!(
            text,
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: one-of-very-many-objects-{number:05}, annotations: {{argocd.argoproj.io/sync-wave: '{wave}'}}}}"
        )
        .expect("a text takes all that is written to it");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operation_of_an_application_with_very_many_objects_is_not_lost() -> Result<()> {
    let scene = Scene::set(Options::git_only(), &[Which::ArgoCdLite]).await?;
    let mut files: Vec<(String, String)> = (0..FIRST)
        .step_by(PER_FILE)
        .map(|from| {
            (
                format!("app/{from:05}.yaml"),
                file(from, from + PER_FILE, 0),
            )
        })
        .collect();
    files.push(("app/last.yaml".to_owned(), file(FIRST, FIRST + SECOND, 1)));
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    let policy = "{automated: {}, syncOptions: [CreateNamespace=true]}";
    let (_, commit) = scene.follow("large", policy, &files).await?;
    let apps = scene.api(ARGO, "Application", "argocd").await?;
    let mut compacted = false;
    let ended = wait_for(&apps, "large", "an operation that ended", LONG, |app| {
        let Some(app) = app else {
            return false;
        };
        let state = &app.data["status"]["operationState"];
        let rows = state["syncResult"]["resources"].as_array();
        compacted |= rows.into_iter().flatten().any(|row| {
            row["kind"]
                .as_str()
                .is_some_and(|kind| kind.contains("CompactResults"))
        });
        matches!(
            state["phase"].as_str(),
            Some("Succeeded" | "Failed" | "Error")
        )
    })
    .await
    .with_context(|| scene.logs())?
    .context("the Application")?;
    let status = &ended.data["status"];
    assert_eq!(
        status["operationState"]["phase"],
        "Succeeded",
        "{}",
        scene.logs()
    );
    assert_eq!(status["sync"]["status"], "Synced");
    assert_eq!(status["history"][0]["revision"], commit.as_str());
    assert_eq!(
        status["history"].as_array().map(Vec::len),
        Some(1),
        "one sync"
    );
    assert!(compacted, "the results were too large");
    let maps = scene.api("v1", "ConfigMap", "large").await?;
    let list = maps.list_metadata(&ListParams::default()).await?;
    let ours = |name: &str| name.starts_with("one-of-very-many");
    let names = list
        .items
        .iter()
        .filter_map(|map| map.metadata.name.as_deref());
    assert_eq!(names.filter(|name| ours(name)).count(), FIRST + SECOND);
    Ok(())
}
