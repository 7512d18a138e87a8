//! Repository URLs.

use argo_cd_lite::repo::normalize;
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        "https://user:pw@git.example.com:443/org/app.git",
        "git@github.com:org/app.git",
        "ssh://git@host:22/~x/y",
        "HTTPS://Git.Example.com/a/../b",
        "file:///tmp/x",
    ],
    tokens: &[
        "https://", "ssh://", "git@", ":", "/", "//", "@", ".git", "%2f", "..", "?", "#", "[::1]",
        " ",
    ],
};

#[test]
fn git_url() {
    fuzz::run(MATERIAL, |text| {
        let once = normalize(text);
        assert_eq!(normalize(&once), once, "normalize is idempotent");
    });
}
