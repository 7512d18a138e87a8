//! `index.yaml` of Helm repositories, and the choice of a version.

use argo_cd_lite::repo::ChartIndex;
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        "apiVersion: v1\nentries:\n  web:\n  - version: 1.2.3\n    urls: [web-1.2.3.tgz]\n    digest: sha256:00\n  - version: 1.2.4-rc.1\n    urls: ['https://charts.example.com/web.tgz']\n",
        r#"{"entries":{"web":[{"version":"v2.0.0+b1","urls":[],"digest":null},null],"other":null}}"#,
    ],
    tokens: &[
        "entries:",
        "- ",
        "  ",
        "\n",
        ": ",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "null",
        "&a ",
        "*a",
        "!!binary ",
        "<<: ",
        "|\n",
        ">=1 <2",
        "1.2",
        "^1.x",
        "1e999",
        "99999999999999999999.0.0",
        "\u{e9}",
        "\\ud800",
        "---\n",
    ],
};

/// Versions and constraints as Applications ask for them.
const REVISIONS: &[&str] = &["1.2.3", "1.2", "*", "^1", ">=1.0.0-0 <3", "~v2", "", "||"];

#[test]
fn chart_index() {
    fuzz::run(MATERIAL, |text| {
        let Ok(index) = ChartIndex::parse(text.as_bytes()) else {
            return;
        };
        for revision in REVISIONS {
            if let Ok(found) = index.select("web", revision) {
                assert!(text.contains("version"), "{found:?} is in no entry");
            }
        }
    });
}
