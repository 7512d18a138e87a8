//! An image of one layer, as an OCI image layout: the binary, the libraries that it is linked with, certificates.
//!
//! `skopeo copy oci:FOLDER docker://REGISTRY/NAME:TAG` and `podman load` take it as it is.

use std::{collections::BTreeSet, fs, path::Path, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{
    archive::{self, Archive},
    digest,
};

/// The user that the charts name.
const USER: &str = "65532:65532";
/// Where the certificates of the machine that releases are.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Writes the layout into `out`.
pub(super) fn write(
    out: &Path,
    binary: &Path,
    programs: Option<&Path>,
    target: &str,
) -> Result<()> {
    let blobs = out.join("blobs/sha256");
    fs::create_dir_all(&blobs).with_context(|| format!("making {}", blobs.display()))?;
    let tar = layer(binary, programs)?;
    let compressed = archive::gzip(&tar)?;
    let architecture = match target.split('-').next() {
        Some("aarch64") => "arm64",
        _ => "amd64",
    };
    let config = json!({
        "architecture": architecture,
        "os": "linux",
        "config": {
            "User": USER,
            "Entrypoint": ["/operator"],
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"],
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", digest(&tar))]},
    });
    let blob = |kind: &str, bytes: &[u8]| -> Result<Value> {
        let digest = digest(bytes);
        fs::write(blobs.join(&digest), bytes).context("writing a blob")?;
        Ok(json!({
            "mediaType": format!("application/vnd.oci.image.{kind}"),
            "digest": format!("sha256:{digest}"),
            "size": bytes.len(),
        }))
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob("config.v1+json", &serde_json::to_vec(&config)?)?,
        "layers": [blob("layer.v1.tar+gzip", &compressed)?],
    });
    let mut entry = blob("manifest.v1+json", &serde_json::to_vec(&manifest)?)?;
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": env!("CARGO_PKG_VERSION")});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    fs::write(out.join("index.json"), serde_json::to_vec(&index)?)?;
    fs::write(out.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
    Ok(())
}

fn layer(binary: &Path, programs: Option<&Path>) -> Result<Vec<u8>> {
    let mut layer = Archive::default();
    layer.file(binary, "operator", 0o755)?;
    for library in libraries(binary)? {
        layer.file(Path::new(&library), library.trim_start_matches('/'), 0o755)?;
    }
    if Path::new(CERTIFICATES).is_file() {
        let name = CERTIFICATES.trim_start_matches('/');
        layer.file(Path::new(CERTIFICATES), name, 0o644)?;
    }
    for name in ["helm", "kustomize"] {
        let Some(programs) = programs else { continue };
        let path = programs.join(name);
        layer.file(&path, &format!("usr/local/bin/{name}"), 0o755)?;
    }
    layer.empty_folder("tmp/", 0o1777);
    let users = format!("nonroot:x:{USER}::/tmp:/sbin/nologin\n");
    layer.bytes("etc/passwd", 0o644, users.into_bytes());
    layer.tar()
}

/// Paths of the shared libraries of a program, the loader included; none for a static one.
fn libraries(binary: &Path) -> Result<BTreeSet<String>> {
    let output = Command::new("ldd")
        .arg(binary)
        .output()
        .context("running ldd")?;
    let (text, errors) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    if errors.contains("not a dynamic executable") || text.contains("statically linked") {
        return Ok(BTreeSet::new());
    }
    ensure!(
        output.status.success(),
        "ldd {}: {}",
        binary.display(),
        errors.trim()
    );
    ensure!(
        !text.contains("not found"),
        "{} needs libraries that are missing:\n{text}",
        binary.display()
    );
    let words = text.lines().flat_map(str::split_whitespace);
    let paths = words.filter(|word| word.starts_with('/') && Path::new(word).is_file());
    Ok(paths.map(str::to_owned).collect())
}
