//! Tokens of GitHub Apps: asked for with the App's key, kept until shortly before they end.
//!
//! ```text
//!   private key ──► signed claim (minutes) ──► GitHub ──► token of the installation (an hour) ──► Git
//! ```

use std::{collections::HashMap, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use reconcile_core::{
    clock::Clock, credentials::redact_url, egress::EgressPolicy, error::error_chain, jwt,
};
use reqwest::{Certificate, Client, Url, redirect::Policy};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{Credential, Trust};

/// The API of GitHub itself.
const GITHUB: &str = "https://api.github.com";
/// User name that goes with a token.
const USER: &str = "x-access-token";
/// Time of a request.
const DEADLINE: Duration = Duration::from_secs(15);
/// Bytes of an answer.
const MAX_ANSWER: usize = 64 * 1024;
/// A token that ends sooner is not used any more.
const MARGIN: SignedDuration = SignedDuration::from_mins(5);
/// The clocks of two machines may differ by this.
const SKEW: SignedDuration = SignedDuration::from_secs(60);
/// Validity of a claim; GitHub takes ten minutes at most.
const CLAIM: SignedDuration = SignedDuration::from_mins(9);
/// Installations whose tokens are kept.
const MAX_TOKENS: usize = 1000;

/// A GitHub App and one of its installations. Debug output hides the key.
#[derive(Clone, Debug)]
pub struct GithubApp {
    /// Number of the App.
    pub id: String,
    /// Number of the installation.
    pub installation: String,
    /// The private key of the App, as PEM.
    pub key: SecretString,
    /// URL of the API of a GitHub Enterprise server; empty for GitHub itself.
    pub base_url: String,
}

impl PartialEq for GithubApp {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl GithubApp {
    /// Changes with every member.
    fn identity(&self) -> String {
        let mut hash = Sha256::new();
        for part in [&self.id, &self.installation, &self.base_url] {
            hash.update(part);
            hash.update([0]);
        }
        hash.update(self.key.expose_secret());
        hex::encode(hash.finalize())
    }
}

/// Why there is no token. The text holds neither key nor token.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("GitHub App {app}: {reason}")]
pub struct GithubAppError {
    app: String,
    reason: String,
    transient: bool,
}

impl GithubAppError {
    /// True when trying again later may help without any change.
    pub(super) fn is_transient(&self) -> bool {
        self.transient
    }
}

struct Token {
    text: SecretString,
    until: Timestamp,
}

type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// The tokens of all installations.
pub(super) struct GithubTokens {
    egress: EgressPolicy,
    trust: Trust,
    clock: Clock,
    slots: Mutex<HashMap<String, Slot>>,
}

#[derive(Deserialize)]
struct Answer {
    token: String,
    expires_at: Timestamp,
}

impl GithubTokens {
    pub(super) fn new(egress: EgressPolicy, trust: Trust, clock: Clock) -> Self {
        Self {
            egress,
            trust,
            clock,
            slots: Mutex::default(),
        }
    }

    /// The credential with a token in place of the App.
    pub(super) async fn log_in(
        &self,
        credential: Credential,
    ) -> Result<Credential, GithubAppError> {
        let Some(app) = credential.github_app.clone() else {
            return Ok(credential);
        };
        Ok(Credential {
            username: USER.to_owned(),
            password: self.token(&app).await?,
            github_app: None,
            ..credential
        })
    }

    async fn token(&self, app: &GithubApp) -> Result<SecretString, GithubAppError> {
        let slot = {
            let mut slots = self.slots.lock();
            if slots.len() >= MAX_TOKENS {
                slots.clear();
            }
            slots.entry(app.identity()).or_default().clone()
        };
        // One request for all who wait for the same installation.
        let mut kept = slot.lock().await;
        let now = self.clock.now();
        if let Some(token) = kept.as_ref().filter(|token| now + MARGIN < token.until) {
            return Ok(token.text.clone());
        }
        let asked = tokio::time::timeout(DEADLINE, self.ask(app, now)).await;
        let late = |_| {
            failed(
                app,
                format!("no answer within {} s", DEADLINE.as_secs()),
                true,
            )
        };
        let answer = asked.map_err(late)??;
        let text = SecretString::from(answer.token);
        *kept = Some(Token {
            text: text.clone(),
            until: answer.expires_at,
        });
        Ok(text)
    }

    async fn ask(&self, app: &GithubApp, now: Timestamp) -> Result<Answer, GithubAppError> {
        let url = endpoint(app)?;
        self.egress
            .check(&url)
            .map_err(|error| failed(app, error.to_string(), false))?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let unreachable = |error: reqwest::Error| {
            let reason = error_chain(&error.without_url());
            failed(app, format!("cannot reach {host}: {reason}"), true)
        };
        let request = self
            .client(&host)
            .map_err(|error| failed(app, error_chain(&error.without_url()), false))?
            .post(url)
            .bearer_auth(claim(app, now)?)
            .header("Accept", "application/vnd.github+json");
        let mut response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(failed(app, format!("{host} answered with too much"), false));
            }
            body.extend_from_slice(&chunk);
        }
        let hint = match status.as_u16() {
            200..=299 => {
                let unreadable = |_| failed(app, format!("{host} answered with no token"), true);
                return serde_json::from_slice(&body).map_err(unreadable);
            }
            401 => "check githubAppID and githubAppPrivateKey",
            403 => "the App is suspended or may not read the repository",
            404 => "check githubAppInstallationID and githubAppEnterpriseBaseUrl",
            _ => "try again later",
        };
        let transient = status.is_server_error() || status.as_u16() == 429;
        let reason = format!("{host} answered {}: {hint}", status.as_u16());
        Err(failed(app, reason, transient))
    }

    fn client(&self, host: &str) -> Result<Client, reqwest::Error> {
        let mut builder = Client::builder()
            .timeout(DEADLINE)
            // The claim is for this server only.
            .redirect(Policy::none())
            .user_agent(concat!("argo-cd-lite/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = self.trust.certificates(host) {
            builder = builder.tls_certs_only(Certificate::from_pem_bundle(pem.as_bytes())?);
        }
        self.egress.guard(builder).build()
    }
}

fn failed(app: &GithubApp, reason: String, transient: bool) -> GithubAppError {
    GithubAppError {
        app: app.id.clone(),
        reason,
        transient,
    }
}

/// Where tokens of the installation are asked for.
fn endpoint(app: &GithubApp) -> Result<Url, GithubAppError> {
    let base = match app.base_url.trim().trim_end_matches('/') {
        "" => GITHUB,
        base => base,
    };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(&app.installation) {
        let reason = "githubAppInstallationID of the repository Secret must be a number";
        return Err(failed(app, reason.to_owned(), false));
    }
    let text = format!(
        "{base}/app/installations/{}/access_tokens",
        app.installation
    );
    let url = Url::parse(&text).ok();
    url.filter(|url| matches!(url.scheme(), "https" | "http"))
        .ok_or_else(|| {
            let reason = format!(
                "githubAppEnterpriseBaseUrl {:?} is no URL",
                redact_url(base)
            );
            failed(app, reason, false)
        })
}

/// A JSON web token that says who the App is, signed by its key.
fn claim(app: &GithubApp, now: Timestamp) -> Result<String, GithubAppError> {
    let claims = json!({
        "iat": (now - SKEW).as_second(),
        "exp": (now + CLAIM).as_second(),
        "iss": app.id,
    });
    jwt::signed(app.key.expose_secret(), None, &claims).map_err(|_| {
        let reason = "githubAppPrivateKey of the repository Secret is no RSA key in PEM form";
        failed(app, reason.to_owned(), false)
    })
}

#[cfg(test)]
mod tests {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

    use super::*;
    use crate::repo::charts::tests::server::{Page, Server};

    /// An RSA key of OpenSSL, made for this test.
    fn key() -> String {
        let made = std::process::Command::new("openssl")
            .args([
                "genpkey",
                "-algorithm",
                "RSA",
                "-pkeyopt",
                "rsa_keygen_bits:2048",
            ])
            .output()
            .expect("openssl runs");
        assert!(made.status.success(), "openssl makes a key");
        String::from_utf8(made.stdout).expect("PEM")
    }

    fn answer(token: &str, until: Timestamp) -> Page {
        Page::of(json!({"token": token, "expires_at": until.to_string()}).to_string())
    }

    #[tokio::test]
    async fn a_token_is_kept_until_it_ends_and_belongs_to_its_installation() {
        reconcile_core::operator::install_tls();
        let server = Server::start().await;
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().expect("a time");
        let clock = Clock::manual(start);
        let path = "/api/v3/app/installations/7/access_tokens";
        server.put(path, answer("first", start + SignedDuration::from_hours(1)));
        let tokens = GithubTokens::new(
            EgressPolicy::AllowLinkLocal,
            Trust::default(),
            clock.clone(),
        );
        let credential = |installation: &str, key: String| Credential {
            github_app: Some(GithubApp {
                id: "12".to_owned(),
                installation: installation.to_owned(),
                key: key.into(),
                base_url: format!("{}/api/v3/", server.url()),
            }),
            ..Credential::default()
        };
        let key = key();
        let ask = || async {
            let answer = tokens.log_in(credential("7", key.clone())).await;
            let answer = answer.expect("a token");
            assert_eq!(answer.username, USER);
            answer.password.expose_secret().to_owned()
        };
        assert_eq!(ask().await, "first");
        assert_eq!(ask().await, "first");
        assert_eq!(server.count(path, 200), 1, "it is kept");
        let asked = server.asked().remove(0);
        let claim = asked.authorization.expect("a claim");
        let parts: Vec<&str> = claim.trim_start_matches("Bearer ").split('.').collect();
        let claims = URL_SAFE_NO_PAD.decode(parts[1]).expect("base64");
        let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!(claims["iss"], "12");
        assert_eq!(claims["exp"], (start + CLAIM).as_second());
        assert_eq!(parts.len(), 3);
        // Shortly before its end the token is renewed.
        clock.advance(SignedDuration::from_mins(56));
        server.put(
            path,
            answer("second", start + SignedDuration::from_hours(2)),
        );
        assert_eq!(ask().await, "second");
        for (installation, key, expected) in [
            (
                "8",
                key.clone(),
                "answered 404: check githubAppInstallationID",
            ),
            ("8/../7", key.clone(), "must be a number"),
            ("7", "no key".to_owned(), "is no RSA key"),
        ] {
            let error = tokens.log_in(credential(installation, key)).await;
            let error = error.expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
            assert!(
                !error.contains("no key") && !error.contains("BEGIN"),
                "{error}"
            );
        }
    }
}
