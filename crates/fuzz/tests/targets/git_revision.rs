//! Revisions and version constraints, over the refs of a Git server.

use argo_cd_lite::repo::{RefList, resolve};
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        "main",
        "v1.2.*",
        ">=1.0.0 <2.0.0 || ~3.1",
        "refs/heads/main",
        "0123456789012345678901234567890123456789",
        "^1.2.3-alpha.1+b",
        "deadbeef",
    ],
    tokens: &[
        ">=",
        "<",
        "~",
        "^",
        "*",
        "x",
        "||",
        ",",
        " - ",
        ".",
        "-",
        "+",
        "v",
        "refs/",
        "99999999999999999999",
        "0",
    ],
};

#[test]
fn git_revision() {
    fuzz::run(MATERIAL, |text| {
        let commit = "a".repeat(40);
        let names = [
            "refs/heads/main",
            "refs/tags/v1.2.3",
            "refs/tags/1.0.0-rc.1",
        ];
        let mut refs = RefList {
            head: Some(commit.clone()),
            refs: names
                .iter()
                .map(|name| ((*name).to_owned(), commit.clone()))
                .collect(),
        };
        let _ = resolve(&refs, text, "");
        // The names come from a server.
        refs.refs.insert(format!("refs/tags/{text}"), commit);
        let _ = resolve(&refs, ">=0", "");
        let _ = resolve(&refs, "*", text);
    });
}
