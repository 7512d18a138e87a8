//! The files of a release.

use std::{collections::BTreeSet, fs, io::Read as _, path::Path};

use serde_json::Value;
use sha2::{Digest as _, Sha256};
use xtask::release::{ReleaseArgs, run};

fn json(path: &Path) -> Value {
    let text = fs::read(path).expect("a file");
    serde_json::from_slice(&text).expect("JSON")
}

fn sha256(path: &Path) -> String {
    hex::encode(Sha256::digest(fs::read(path).expect("a file")))
}

fn names(archive: &Path) -> BTreeSet<String> {
    let file = fs::File::open(archive).expect("an archive");
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(file));
    let entries = archive.entries().expect("entries");
    entries
        .map(|entry| {
            let entry = entry.expect("an entry");
            entry.path().expect("a name").display().to_string()
        })
        .collect()
}

/// A release of small programs in place of the binaries, which take minutes to build.
fn release(folder: &Path) -> std::path::PathBuf {
    let binaries = folder.join("binaries");
    fs::create_dir_all(&binaries).expect("a folder");
    for name in ["argo-cd-lite", "events", "rollouts", "helm", "kustomize"] {
        fs::copy("/bin/true", binaries.join(name)).expect("a copy");
    }
    let args = ReleaseArgs {
        programs: Some(binaries.clone()),
        binaries,
        target: "x86_64-unknown-linux-gnu".to_owned(),
        out: folder.join("out"),
    };
    run(&xtask::root(), &args).expect("a release");
    args.out
}

#[test]
fn a_release_is_whole_and_the_same_each_time() {
    let version = env!("CARGO_PKG_VERSION");
    let folder = tempfile::tempdir().expect("a folder");
    let out = release(folder.path());
    let sums = fs::read_to_string(out.join("SHA256SUMS")).expect("checksums");
    let mut listed = 0;
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").expect("a sum and a name");
        assert_eq!(sha256(&out.join(name)), sum, "{name}");
        listed += 1;
    }
    // Archive, bill and chart of each binary, manifests, index, changes.
    assert_eq!(listed, 12, "{sums}");
    let chart = names(&out.join(format!("charts/events-{version}.tgz")));
    assert!(
        chart.contains("events/Chart.yaml") && chart.contains("events/templates/deployment.yaml")
    );
    assert!(!chart.iter().any(|name| name.contains("/ci/")), "{chart:?}");
    let again = tempfile::tempdir().expect("a folder");
    let again = release(again.path());
    assert_eq!(
        fs::read_to_string(again.join("SHA256SUMS")).expect("checksums"),
        sums
    );
}

#[test]
fn the_bill_has_what_is_linked_with_its_licence_and_no_tools_of_tests() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = release(folder.path());
    let bill = json(&out.join(format!("rollouts-{}.cdx.json", env!("CARGO_PKG_VERSION"))));
    let components = bill["components"].as_array().expect("components");
    let named = |name: &str| components.iter().find(|one| one["name"] == name);
    let kube = named("kube").expect("kube is linked");
    assert!(kube["licenses"][0]["expression"].is_string(), "{kube}");
    assert!(named("insta").is_none(), "insta is for tests");
    assert!(named("argo-cd-lite").is_none(), "another operator");
}

#[test]
fn the_image_is_a_layout_whose_blobs_have_their_digests() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = release(folder.path());
    let image = out.join("images/argo-cd-lite");
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().expect("a digest");
        let path = image
            .join("blobs/sha256")
            .join(digest.trim_start_matches("sha256:"));
        assert_eq!(format!("sha256:{}", sha256(&path)), digest);
        path
    };
    let manifest = json(&blob(&json(&image.join("index.json"))["manifests"][0]));
    let config = json(&blob(&manifest["config"]));
    assert_eq!(config["config"]["User"], "65532:65532");
    let layer = blob(&manifest["layers"][0]);
    let files = names(&layer);
    for name in ["operator", "usr/local/bin/helm", "etc/passwd", "tmp/"] {
        assert!(files.contains(name), "{name} is missing: {files:?}");
    }
    assert!(
        files.iter().any(|name| name.contains("libc.so")),
        "{files:?}"
    );
    let mut tar = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(layer).expect("a layer"))
        .read_to_end(&mut tar)
        .expect("gzip");
    let diff = format!("sha256:{}", hex::encode(Sha256::digest(tar)));
    assert_eq!(config["rootfs"]["diff_ids"][0], diff.as_str());
}
