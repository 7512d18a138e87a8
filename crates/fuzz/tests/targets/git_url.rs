//! Repository URLs.

use std::collections::BTreeMap;

use argo_cd_lite::repo::{Credentials, RepositorySecret, ambiguity, host_and_path, normalize};
use fuzz::Material;
use k8s_openapi::ByteString;
use reconcile_core::credentials::{redact_url, redact_urls};

const MATERIAL: Material = Material {
    examples: &[
        "https://user:pw@git.example.com:443/org/app.git",
        "git@github.com:org/app.git",
        "ssh://git@host:22/~x/y",
        "HTTPS://Git.Example.com/a/../b",
        "file:///tmp/x",
        "/app.git",
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
        let _ = (ambiguity(text), host_and_path(text));
    });
}

/// Credentials of `https://git.example.com/org` are for this host and this path.
#[test]
fn git_credentials() {
    let labels = [("argocd.argoproj.io/secret-type", "repo-creds")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let data = [
        ("url", "https://git.example.com/org"),
        ("password", "s3cret"),
    ]
    .map(|(key, value)| (key.to_owned(), ByteString(value.into())));
    let secret = RepositorySecret::read(&BTreeMap::from(labels), &BTreeMap::from(data));
    let credentials = Credentials::default();
    credentials.set("creds", secret);
    let covered = credentials.find("https://git.example.com/org/app.git");
    assert!(covered.is_some(), "the template is in use");
    fuzz::run(MATERIAL, |text| {
        for url in [
            text.to_owned(),
            format!("https://git.example.com/org{text}"),
        ] {
            if credentials.find(&url).is_none() {
                continue;
            }
            // Another reader of URLs agrees on where the credentials go.
            let parsed = url::Url::parse(url.trim()).expect("a URL that is not ambiguous");
            assert_eq!(parsed.scheme(), "https", "{url}");
            let host = parsed.host_str().unwrap_or_default();
            assert_eq!(host.trim_end_matches('.'), "git.example.com", "{url}");
            assert_eq!(parsed.port(), None, "{url}");
            let mut path = parsed.path_segments().into_iter().flatten();
            let first = path.find(|part| !part.is_empty()).unwrap_or_default();
            assert_eq!(first.trim_end_matches(".git"), "org", "{url}");
        }
    });
}

/// A password never shows, whatever is in it.
#[test]
fn git_passwords() {
    fuzz::run(MATERIAL, |text| {
        let url = format!("https://user:S3CRET{text}@host.example/p");
        assert!(!redact_url(&url).contains("S3CRET"), "{url}");
        let word: String = text.split_whitespace().collect();
        let error = format!("cannot read \"https://user:{word}S3CRET@host.example/p\": refused");
        let shown = redact_urls(&error);
        assert!(!shown.contains("S3CRET"), "{shown}");
        assert!(shown.ends_with("host.example/p\": refused"), "{shown}");
    });
}
