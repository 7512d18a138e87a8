//! Webhooks of Git servers: bodies and headers.

use std::collections::BTreeMap;

use argo_cd_lite::server::{Provider, repositories, verify};
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        r#"{"ref":"refs/heads/main","repository":{"html_url":"https://github.com/o/a","clone_url":"https://github.com/o/a.git"}}"#,
        r#"{"project":{"web_url":"https://gitlab.com/o/a","git_http_url":"https://gitlab.com/o/a.git"}}"#,
        r#"{"repository":{"ssh_url":"git@gitea:o/a.git","links":[null]}}"#,
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
        "1e999",
        "\"repository\":",
        "\"project\":",
        "\\u0000",
        "https://",
    ],
};

#[test]
fn webhook_payload() {
    let secrets = BTreeMap::from([
        ("webhook.github.secret".to_owned(), "s".into()),
        ("webhook.gitlab.secret".to_owned(), "s".into()),
    ]);
    fuzz::run(MATERIAL, |text| {
        let header = |_: &str| Some(text.chars().take(100).collect::<String>());
        if let Some((provider, _)) = Provider::of(header) {
            let _ = verify(provider, &secrets, header, text.as_bytes());
        }
        for provider in [Provider::GitHub, Provider::GitLab] {
            assert!(
                !verify(
                    provider,
                    &secrets,
                    |_| Some(format!("sha256={text}")),
                    text.as_bytes()
                ) || text == "s"
            );
        }
        let _ = repositories(text.as_bytes());
    });
}
