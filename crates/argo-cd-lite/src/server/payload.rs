//! Payloads of Git servers: who sent them, are they genuine, which repositories do they speak of. Total
//! functions: no payload can make them fail in an unforeseen way.

use std::collections::BTreeMap;

use hmac::{Hmac, KeyInit, Mac};
use reconcile_core::secret::Secret;
use serde_json::Value;
use sha2::Sha256;

/// A kind of Git server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// GitHub.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gogs, Gitea and Forgejo.
    Gogs,
}

impl Provider {
    /// The sender, recognised by the header that names the event.
    pub fn of(header: impl Fn(&str) -> Option<String>) -> Option<(Self, String)> {
        // Gitea also sends the headers of GitHub and Gogs.
        let kinds = [
            ("x-gitea-event", Self::Gogs),
            ("x-gogs-event", Self::Gogs),
            ("x-gitlab-event", Self::GitLab),
            ("x-github-event", Self::GitHub),
        ];
        kinds
            .into_iter()
            .find_map(|(name, provider)| Some((provider, header(name)?)))
    }

    fn secret_key(self) -> &'static str {
        match self {
            Self::GitHub => "webhook.github.secret",
            Self::GitLab => "webhook.gitlab.secret",
            Self::Gogs => "webhook.gogs.secret",
        }
    }
}

/// True when the request carries the proof that the secret of its provider asks for, or when no secret of any provider
/// is set. Stricter than upstream: once one provider has a secret, those without one are refused, because anyone could
/// pretend to be one of them.
pub fn verify(
    provider: Provider,
    secrets: &BTreeMap<String, Secret>,
    header: impl Fn(&str) -> Option<String>,
    body: &[u8],
) -> bool {
    let Some(secret) = secrets
        .get(provider.secret_key())
        .filter(|secret| !secret.is_empty())
    else {
        return !secrets
            .iter()
            .any(|(key, secret)| is_webhook_secret(key) && !secret.is_empty());
    };
    let signed = |hex_text: Option<String>| {
        let Some(signature) = hex_text.and_then(|text| hex::decode(text).ok()) else {
            return false;
        };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
            return false;
        };
        mac.update(body);
        // Compares in constant time.
        mac.verify_slice(&signature).is_ok()
    };
    match provider {
        Provider::GitHub => signed(
            header("x-hub-signature-256")
                .and_then(|text| text.strip_prefix("sha256=").map(str::to_owned)),
        ),
        Provider::Gogs => {
            signed(header("x-gitea-signature").or_else(|| header("x-gogs-signature")))
        }
        Provider::GitLab => header("x-gitlab-token").is_some_and(|token| secret.is(&token)),
    }
}

fn is_webhook_secret(key: &str) -> bool {
    key.strip_prefix("webhook.")
        .and_then(|rest| rest.rsplit_once('.'))
        .is_some_and(|(_, last)| matches!(last, "secret" | "uuid" | "password"))
}

/// URLs under which the pushed repository may be known.
pub fn repositories(payload: &Value) -> Vec<String> {
    const PLACES: &[&str] = &[
        "/repository/html_url",
        "/repository/clone_url",
        "/repository/git_url",
        "/repository/ssh_url",
        "/repository/git_http_url",
        "/repository/git_ssh_url",
        "/repository/homepage",
        "/repository/url",
        "/project/web_url",
        "/project/git_http_url",
        "/project/git_ssh_url",
        "/project/http_url",
    ];
    let mut urls: Vec<String> = PLACES
        .iter()
        .filter_map(|place| payload.pointer(place)?.as_str())
        .filter(|url| !url.is_empty())
        .map(str::to_owned)
        .collect();
    urls.sort();
    urls.dedup();
    urls
}
