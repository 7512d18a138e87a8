//! Tokens of an installation of a GitHub App.

use std::time::Duration;

use http::{HeaderValue, Method, header};
use reconcile_core::{jwt, object::FieldError, secret::Secret};
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::session::{ask, below, secret_header};
use crate::{
    api::KeySelector,
    http_client::Call,
    source::{
        http_server::HttpServer,
        kind::{Input, SourceError},
        service_context::ServiceContext,
    },
};

pub(in crate::source::hook) const PRIVATE_KEY: &str = "githubApp.privateKey";

/// Clocks may differ by so much, in seconds.
const SKEW: i64 = 60;
/// A proof is good for so long, in seconds; GitHub permits ten minutes.
const LIFETIME: i64 = 300;
const DEADLINE: Duration = Duration::from_secs(30);

/// An installation of an app.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::source::hook) struct GitHubApp {
    private_key: Option<KeySelector>,
    #[serde(rename = "appID")]
    app_id: i64,
    #[serde(rename = "installationID")]
    installation_id: i64,
}

impl GitHubApp {
    /// The Secret of its key.
    pub(in crate::source::hook) fn check(
        &self,
        input: &Input<'_>,
    ) -> Result<Option<(&'static str, KeySelector)>, FieldError> {
        for (field, id) in [
            ("appID", self.app_id),
            ("installationID", self.installation_id),
        ] {
            if id <= 0 {
                return Err(input.wrong(&format!("githubApp.{field}"), "must be set"));
            }
        }
        match &self.private_key {
            Some(key) => Ok(Some((PRIVATE_KEY, key.clone()))),
            None => Err(input.wrong(PRIVATE_KEY, "must be set")),
        }
    }
}

/// Asks for a token of the installation. The error names what is wrong with the key.
pub(in crate::source::hook) fn question(
    app: &GitHubApp,
    key: &Secret,
    base: &Url,
    now: i64,
) -> Result<Call, String> {
    let claims = json!({"iss": app.app_id.to_string(), "iat": now - SKEW, "exp": now + LIFETIME});
    let proof = jwt::signed(key.expose(), None, &claims)
        .map_err(|reason| format!("{PRIVATE_KEY}: {reason}"))?;
    let mut headers = secret_header(header::AUTHORIZATION, &format!("Bearer {proof}"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("argo-events"));
    headers.insert(
        header::ACCEPT,
        HeaderValue::from_static("application/vnd.github+json"),
    );
    let id = app.installation_id.to_string();
    Ok(Call {
        method: Method::POST,
        url: below(base, ["app", "installations", &id, "access_tokens"]),
        headers,
        body: None,
        timeout: DEADLINE,
    })
}

/// The token of an answer.
pub(in crate::source::hook) fn token_of(answer: &Value) -> Result<&str, &'static str> {
    let token = answer["token"].as_str().filter(|token| !token.is_empty());
    token.ok_or("no token for the installation of the app")
}

/// A token of the installation, which is in no text from now on.
pub(super) async fn token(
    app: &GitHubApp,
    key: &Secret,
    base: &Url,
    context: &ServiceContext,
    server: &HttpServer,
) -> Result<String, SourceError> {
    let call = question(app, key, base, context.clock.now().as_second());
    let call = call.map_err(|reason| server.failed(&reason))?;
    let answer = ask(context, server, call).await?;
    let token = token_of(&answer).map_err(|reason| server.failed(reason))?;
    context.hide(token);
    Ok(token.to_owned())
}
