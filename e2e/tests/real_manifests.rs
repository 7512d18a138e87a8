//! Manifests of public projects, which are no part of this repository: `make real-manifests REAL_MANIFESTS=FOLDER` makes an
//! Application of each YAML file of a folder. Without one the test is counted as skipped.

mod scene;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use e2e::Options;
use e2e::cluster::documents;
use e2e::stack::{Setup, Which};
use reconcile_core::testkit::skip_where;
use scene::{Scene, application};
use serde_json::Value;

const POLICY: &str =
    "{automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}";
/// How long nothing may be written. The repositories are polled several times within it.
const WINDOW: Duration = Duration::from_mins(1);

/// The YAML files of a folder, by the name that their Applications get.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let extension = path.extension().and_then(|text| text.to_str());
        if let (Some("yaml" | "yml"), Some(stem)) = (extension, path.file_stem()) {
            let name = stem
                .to_string_lossy()
                .to_lowercase()
                .replace(['.', '_'], "-");
            found.push((name, path));
        }
    }
    found.sort();
    ensure!(!found.is_empty(), "{} has no YAML files", folder.display());
    Ok(found)
}

/// Why the API server takes an object from nobody; `None` when it takes all of them.
async fn refused(scene: &Scene, name: &str, text: &str) -> Result<Option<String>> {
    let cluster = scene.bed.cluster()?;
    cluster.apply_namespace(name).await?;
    for object in documents(text)? {
        if let Err(error) = cluster.apply_one(name, &object).await {
            return Ok(Some(format!("{error:#}")));
        }
    }
    Ok(None)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_public_projects_install_is_synced_and_then_left_alone() -> Result<()> {
    let Some(folder) = std::env::var_os("REAL_MANIFESTS") else {
        skip_where(
            &["ALLOW_SKIPS", "SKIP_REAL_MANIFESTS"],
            "no manifests of public projects: `make real-manifests REAL_MANIFESTS=FOLDER`",
        );
        return Ok(());
    };
    let mut scene = Scene::set(Options::git_only(), &[]).await?;
    let setup = Setup {
        args: vec!["--app-resync=15".to_owned()],
        ..Setup::default()
    };
    scene.add(Which::ArgoCdLite, &setup).await?;
    let (mut table, mut problems, mut synced) = (String::new(), Vec::new(), Vec::new());
    for (name, path) in files(Path::new(&folder))? {
        let text = std::fs::read_to_string(&path)?;
        let began = Instant::now();
        let app = one(&scene, &name, &text).await?;
        let (objects, state) = (
            &app["status"]["resources"],
            &app["status"]["operationState"],
        );
        let objects = objects.as_array().map_or(0, Vec::len);
        let outcome = if state["phase"] == "Succeeded" {
            synced.push(name.clone());
            format!("Synced after {:.1} s", began.elapsed().as_secs_f64())
        } else if let Some(reason) = refused(&scene, &name, &text).await? {
            scene.abandon(&name).await?;
            format!("refused by the API server: {reason}")
        } else {
            problems.push(format!("{name}: {:#}", app["status"]));
            state["message"].to_string()
        };
        writeln!(table, "{name}: {objects} objects: {outcome}")?;
    }
    for name in &synced {
        scene.refresh(name, "hard").await?;
        scene.until_refreshed(name).await?;
    }
    let changes = scene.changes_within(WINDOW).await?;
    writeln!(table, "changes within {} s: {changes:?}", WINDOW.as_secs())?;
    if changes.total() > 0 {
        problems.push(format!(
            "something is written: {changes:?}\n{}",
            scene.logs()
        ));
    }
    for name in &synced {
        let app = scene.until_application(name, "there", |_| true).await?;
        if app["status"]["sync"]["status"] != "Synced" {
            problems.push(format!("{name}: {:#}", app["status"]));
        }
    }
    report(&table);
    ensure!(problems.is_empty(), "{table}\n{}", problems.join("\n"));
    Ok(())
}

/// An Application of one file, when its operation is over.
async fn one(scene: &Scene, name: &str, text: &str) -> Result<Value> {
    let repository = scene.bed.git()?.repository(name).await?;
    repository
        .commit(&[("app/all.yaml", text)], "as it is")
        .await?;
    let manifest = application(name, &repository.url, "app", name, POLICY);
    scene.apply("argocd", &manifest).await?;
    scene
        .until_application(name, "Synced with its operation over", |app| {
            let state = &app["status"]["operationState"];
            let phase = state["phase"].as_str().unwrap_or_default();
            let synced = app["status"]["sync"]["status"] == "Synced";
            let failed =
                matches!(phase, "Failed" | "Error") || state["retryCount"].as_u64() > Some(0);
            failed || (synced && phase == "Succeeded")
        })
        .await
}

/// The table is for the person who asked for it.
fn report(table: &str) {
    use std::io::Write as _;
    let _closed = std::io::stderr().write_all(table.as_bytes());
}
