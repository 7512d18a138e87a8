//! Payloads and their proofs.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use reconcile_core::secret::Secret;
use serde_json::json;
use sha2::Sha256;

use super::*;

fn headers<'a>(pairs: &'a [(&'a str, String)]) -> impl Fn(&str) -> Option<String> + Copy + 'a {
    move |name| {
        pairs
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value.clone())
    }
}

fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any key length");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

#[test]
fn senders_are_recognized_by_their_headers() {
    let of = |name: &'static str| {
        Provider::of(headers(&[(name, "push".to_owned())])).map(|(provider, _)| provider)
    };
    assert_eq!(of("x-github-event"), Some(Provider::GitHub));
    assert_eq!(of("x-gitlab-event"), Some(Provider::GitLab));
    assert_eq!(of("x-gogs-event"), Some(Provider::Gogs));
    assert_eq!(of("x-hook-uuid"), Some(Provider::Bitbucket));
    assert_eq!(of("x-event-key"), Some(Provider::BitbucketServer));
    assert_eq!(of("x-vss-activityid"), Some(Provider::AzureDevOps));
    assert_eq!(of("x-other"), None);
    let both = [
        ("x-hook-uuid", "u".to_owned()),
        ("x-event-key", "repo:push".to_owned()),
    ];
    let cloud = Provider::of(headers(&both));
    assert_eq!(cloud, Some((Provider::Bitbucket, "repo:push".to_owned())));
    assert!(Provider::BitbucketServer.is_ping("diagnostics:ping"));
}

#[test]
fn a_secret_asks_for_a_proof() {
    let secrets: BTreeMap<String, Secret> = ["github", "gitlab", "gogs"]
        .iter()
        .map(|name| (format!("webhook.{name}.secret"), "s3cret".into()))
        .collect();
    let body = b"{}";
    let good = sign("s3cret", body);
    let cases = [
        (
            Provider::GitHub,
            "x-hub-signature-256",
            format!("sha256={good}"),
            true,
        ),
        (
            Provider::GitHub,
            "x-hub-signature-256",
            format!("sha256={}", sign("other", body)),
            false,
        ),
        (Provider::GitHub, "x-hub-signature-256", good.clone(), false),
        (Provider::Gogs, "x-gogs-signature", good.clone(), true),
        (Provider::Gogs, "x-gogs-signature", "zz".to_owned(), false),
        (
            Provider::GitLab,
            "x-gitlab-token",
            "s3cret".to_owned(),
            true,
        ),
        (
            Provider::GitLab,
            "x-gitlab-token",
            "wrong".to_owned(),
            false,
        ),
        (Provider::GitLab, "x-other", String::new(), false),
    ];
    for (provider, name, value, expected) in cases {
        let pairs = [(name, value)];
        assert_eq!(
            verify(provider, &secrets, headers(&pairs), body),
            expected,
            "{provider:?} {pairs:?}"
        );
    }
    assert!(
        verify(Provider::GitHub, &BTreeMap::new(), headers(&[]), body),
        "no secret, no proof"
    );
    for key in ["webhook.gitlab.secret", "webhook.bitbucket.uuid"] {
        let other: BTreeMap<String, Secret> = [(key.to_owned(), "x".into())].into();
        assert!(
            !verify(Provider::GitHub, &other, headers(&[]), body),
            "{key} is set, so a sender without a secret is refused"
        );
    }
    let empty = [("webhook.gitlab.secret".to_owned(), "".into())].into();
    assert!(verify(Provider::GitHub, &empty, headers(&[]), body));
}

#[test]
fn bitbucket_and_azure_prove_who_they_are() {
    let keys = [
        "bitbucket.uuid",
        "bitbucketserver.secret",
        "azuredevops.password",
    ];
    let mut secrets: BTreeMap<String, Secret> = (keys.iter())
        .map(|name| (format!("webhook.{name}"), "s3cret".into()))
        .collect();
    secrets.insert("webhook.azuredevops.username".to_owned(), "hooks".into());
    let basic = |pair: &str| format!("Basic {}", STANDARD.encode(pair));
    let body = b"{}";
    let good = sign("s3cret", body);
    let cases = [
        (
            Provider::Bitbucket,
            "x-hook-uuid",
            "s3cret".to_owned(),
            true,
        ),
        (
            Provider::Bitbucket,
            "x-hook-uuid",
            "other".to_owned(),
            false,
        ),
        (
            Provider::BitbucketServer,
            "x-hub-signature",
            format!("sha256={good}"),
            true,
        ),
        (
            Provider::BitbucketServer,
            "x-hub-signature",
            good.clone(),
            false,
        ),
        (
            Provider::AzureDevOps,
            "authorization",
            basic("hooks:s3cret"),
            true,
        ),
        (
            Provider::AzureDevOps,
            "authorization",
            basic("other:s3cret"),
            false,
        ),
        (
            Provider::AzureDevOps,
            "authorization",
            basic("hooks:other"),
            false,
        ),
        (
            Provider::AzureDevOps,
            "authorization",
            "Bearer s3cret".to_owned(),
            false,
        ),
    ];
    for (provider, name, value, expected) in cases {
        let pairs = [(name, value)];
        assert_eq!(
            verify(provider, &secrets, headers(&pairs), body),
            expected,
            "{provider:?} {pairs:?}"
        );
    }
}

#[test]
fn any_payload_gives_a_list_of_repositories() {
    let cases = [
        (
            json!({"repository": {"html_url": "https://h/a", "clone_url": "https://h/a.git"}}),
            2,
        ),
        (
            json!({"project": {"git_http_url": "https://h/a.git", "web_url": ""}}),
            1,
        ),
        // Bitbucket Cloud, Bitbucket Server, Azure DevOps.
        (
            json!({"repository": {"links": {"html": {"href": "https://bitbucket.org/a/b"}, "self": {"href": "https://api/x"}}}}),
            1,
        ),
        (
            json!({"repository": {"links": {"clone": [
                {"name": "http", "href": "https://h/scm/a/b.git"}, {"name": "ssh", "href": "ssh://git@h:7999/a/b.git"}, 5,
            ]}}}),
            2,
        ),
        (
            json!({"resource": {"repository": {"remoteUrl": "https://o@dev.azure.com/o/p/_git/r", "url": "https://dev.azure.com/api"}}}),
            1,
        ),
        (
            json!({"repository": {"links": [{"href": "https://h/x"}]}, "resource": []}),
            0,
        ),
        (json!({"repository": "text"}), 0),
        (json!({"repository": {"html_url": 5}}), 0),
        (json!([1, null]), 0),
        (json!(null), 0),
    ];
    for (payload, count) in cases {
        let urls = repositories(payload.to_string().as_bytes()).expect("JSON");
        assert_eq!(urls.len(), count, "{payload}");
    }
    let escaped = br#"{"\u0072epository": {"url": "https:\/\/h/a", "url": "x"}, "x": [[{}]]}"#;
    assert_eq!(
        repositories(escaped).ok(),
        Some(vec!["https://h/a".to_owned(), "x".to_owned()])
    );
    for broken in ["", "{", "{} {}", r#"{"repository": {"url": "x"}"#] {
        assert!(repositories(broken.as_bytes()).is_err(), "{broken}");
    }
    // Neither many URLs nor deep values of other members are kept.
    let many = format!(
        r#"{{"repository": {{{}"url": "x"}}}}"#,
        r#""url": "y","#.repeat(100_000)
    );
    assert_eq!(
        repositories(many.as_bytes()).map(|urls| urls.len()).ok(),
        Some(1)
    );
    let deep = format!(r#"{{"x": {}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(repositories(deep.as_bytes()).ok(), Some(Vec::new()));
}
