//! A cache volume that is full: what is known stays in work, a message says what is full, and it passes with its cause.

mod scene;

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use e2e::Options;
use e2e::stack::{self, Setup, Which};
use scene::{Scene, config_map, synced_and_healthy};
use serde_json::json;

const AUTOMATED: &str =
    "{automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}";
/// The volume.
const SIZE: &str = "8m";

/// A program that runs the operator with a volume of its own, in a mount namespace of its own: it goes with the process.
fn with_volume(folder: &Path, volume: &Path) -> Result<PathBuf> {
    fs::create_dir(volume)?;
    let operator = fs::canonicalize(stack::binary(Which::ArgoCdLite, "debug")?)?;
    let user = if rustix::process::getuid().is_root() {
        ""
    } else {
        "--user --map-root-user"
    };
    let script = format!(
        "#!/bin/sh\nPATH=$PATH:/bin:/usr/bin:/sbin:/usr/sbin\nexec unshare {user} --mount --propagation private sh -c 'mount -t tmpfs -o size={SIZE} tmpfs {} && exec {} \"$@\"' sh \"$@\"\n",
        volume.display(),
        operator.display()
    );
    let path = folder.join("operator-with-volume");
    fs::write(&path, script)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

/// Fills the volume to its last byte.
fn fill(file: &Path) -> Result<()> {
    let mut filler = fs::File::create(file).with_context(|| file.display().to_string())?;
    for block in [64 * 1024, 512, 1] {
        let zeros = vec![0; block];
        loop {
            match filler.write_all(&zeros) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_cache_volume_is_named_and_passes() -> Result<()> {
    let mut scene = Scene::set(Options::git_only(), &[]).await?;
    let folder = tempfile::tempdir()?;
    let volume = folder.path().join("cache");
    let program = with_volume(folder.path(), &volume)?;
    let setup = Setup {
        args: vec![format!("--cache-dir={}", volume.display())],
        ..Setup::default()
    };
    let deployed = stack::deploy(&scene.bed, Which::ArgoCdLite, &program, &setup).await?;
    scene.operators.push(deployed);
    let files = [("app/a.yaml", config_map("a", "1", ""))];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    let (repository, _) = scene.follow("disk", AUTOMATED, &files).await?;
    scene.until_synced("disk").await?;
    let part = &scene.operator(Which::ArgoCdLite)?.operator.part;
    let process = part.pid().await.context("the operator runs")?;
    let inside = PathBuf::from(format!("/proc/{process}/root"));
    let inside = inside.join(volume.strip_prefix("/")?);
    ensure!(
        fs::read_dir(&inside)?.next().is_some(),
        "the volume is not in use"
    );
    assert_eq!(fs::read_dir(&volume)?.count(), 0, "it is the process's own");

    let filler = inside.join("filler");
    fill(&filler)?;
    let commit = repository
        .commit(&[("app/a.yaml", &config_map("a", "2", ""))], "second")
        .await?;
    scene.refresh("disk", "normal").await?;
    let app = scene
        .until_application("disk", "an error that names the disk", |app| {
            let conditions = app["status"]["conditions"].to_string();
            conditions.contains("No space left on device")
        })
        .await?;
    // What is applied stays, and so does what is known of it.
    let api = scene.api("v1", "ConfigMap", "disk").await?;
    assert_eq!(api.get("a").await?.data["data"]["value"], "1");
    assert_ne!(app["status"]["sync"]["revision"], json!(commit));
    part.check().await?;

    fs::remove_file(&filler)?;
    scene.refresh("disk", "normal").await?;
    scene
        .until_application("disk", "Synced with the second commit", |app| {
            synced_and_healthy(app) && app["status"]["sync"]["revision"] == json!(commit)
        })
        .await?;
    assert_eq!(api.get("a").await?.data["data"]["value"], "2");
    assert_eq!(part.pid().await, Some(process), "it is the same process");
    Ok(())
}
