//! Manifests of OCI registries.

use argo_cd_lite::repo::Manifest;
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        r#"{"schemaVersion":2,"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json","digest":"sha256:00","size":1},"layers":[{"mediaType":"application/vnd.cncf.helm.chart.content.v1.tar+gzip","digest":"sha256:11","size":17}]}"#,
        r#"{"layers":[]}"#,
        r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":null}]}"#,
    ],
    tokens: &[
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "null",
        "-1",
        "1e999",
        "18446744073709551616",
        "\"layers\":",
        "\"digest\":",
        "\"size\":",
        "\"mediaType\":",
        "\\ud800",
        "\\u0000",
    ],
};

#[test]
fn oci_manifest() {
    fuzz::run(MATERIAL, |text| {
        if let Ok(manifest) = Manifest::parse(text.as_bytes()) {
            let digits = manifest.digest.strip_prefix("sha256:");
            assert_eq!(digits.map(str::len), Some(64), "{}", manifest.digest);
        }
    });
}
