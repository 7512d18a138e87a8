//! What the providers that speak HTTP share: connections, headers, logins, bounded answers.

use std::time::Duration;

use parking_lot::Mutex;
use reconcile_core::reconcile::error_chain;
use reqwest::{
    Client, Response,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
};
use serde::Deserialize;

use crate::api::analysis::{Authentication, BasicAuth, Header, OAuth2};

/// An answer of more bytes is refused: a verdict needs few numbers, and memory must not follow a query.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;
/// A server that does not accept a connection within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections per server: measurements come in small bursts.
const IDLE_CONNECTIONS: usize = 2;
/// Time for a token; a login server that takes longer must not eat the time of the measurement.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time that a metric may ask for; a longer one is cut, so that no measurement hangs for ever.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(10);

/// HTTP clients, made when first needed: most installations use one of them or none.
#[derive(Debug, Default)]
pub(super) struct HttpClients {
    verified: Mutex<Option<Client>>,
    unverified: Mutex<Option<Client>>,
}

impl HttpClients {
    /// The client that checks server certificates, or the one that does not.
    pub(super) fn client(&self, insecure: bool) -> Result<Client, String> {
        let mut kept = if insecure {
            self.unverified.lock()
        } else {
            self.verified.lock()
        };
        if let Some(client) = kept.as_ref() {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .tls_danger_accept_invalid_certs(insecure)
            .user_agent(concat!("rollouts/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| error_chain(&error))?;
        Ok(kept.insert(client).clone())
    }
}

/// The time that a metric asks for in seconds, or `default`. A negative one is `None`.
pub(super) fn timeout(seconds: Option<i64>, default: Duration) -> Option<Duration> {
    match seconds.unwrap_or_default() {
        0 => Some(default),
        seconds => {
            let seconds = u64::try_from(seconds).ok()?;
            Some(Duration::from_secs(seconds).min(LONGEST_TIMEOUT))
        }
    }
}

/// The headers that a metric asks for, with the login by name and password.
pub(super) fn headers(
    wanted: &[Header],
    authentication: Option<&Authentication>,
) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for header in wanted {
        let name = HeaderName::try_from(header.key.as_str());
        let value = HeaderValue::try_from(header.value.as_str());
        match (name, value) {
            (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
            _ => return Err(format!("the header {:?} is not valid", header.key)),
        }
    }
    if let Some(BasicAuth { username, password }) =
        authentication.and_then(|how| how.basic_auth.as_ref())
    {
        let name = username.as_deref().unwrap_or_default();
        headers.insert(
            AUTHORIZATION,
            basic(name, password.as_deref().unwrap_or_default())?,
        );
    }
    Ok(headers)
}

fn basic(name: &str, password: &str) -> Result<HeaderValue, String> {
    let pair = expressions::go_text::base64_standard(format!("{name}:{password}").as_bytes());
    secret_header(&format!("Basic {pair}"))
}

fn secret_header(text: &str) -> Result<HeaderValue, String> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| "the credentials are not valid in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// The part of `authentication` that asks for a token, if any.
pub(super) fn oauth2(authentication: Option<&Authentication>) -> Option<&OAuth2> {
    let oauth2 = authentication?.oauth2.as_ref()?;
    oauth2
        .token_url
        .as_deref()
        .is_some_and(|url| !url.is_empty())
        .then_some(oauth2)
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

/// Gets a token by client credentials and puts it into `headers`.
pub(super) async fn log_in(
    client: &Client,
    oauth2: &OAuth2,
    headers: &mut HeaderMap,
) -> Result<(), String> {
    let filled = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
    let (Some(url), Some(id), Some(secret)) = (
        filled(&oauth2.token_url),
        filled(&oauth2.client_id),
        filled(&oauth2.client_secret),
    ) else {
        return Err("missing mandatory parameter in metric for OAuth2 setup".to_owned());
    };
    let scopes = oauth2.scopes.join(" ");
    let mut form = vec![("grant_type", "client_credentials")];
    if !scopes.is_empty() {
        form.push(("scope", &scopes));
    }
    let ask = async {
        let sent = client
            .post(url)
            .header(AUTHORIZATION, basic(&id, &secret)?)
            .form(&form)
            .send()
            .await;
        let response = sent.map_err(|error| error_chain(&error))?;
        let status = response.status();
        let body = read_body(response).await?;
        serde_json::from_slice::<Token>(&body)
            .map_err(|_| format!("the token server answered {status}: {}", excerpt(&body)))
    };
    let token = tokio::time::timeout(TOKEN_TIMEOUT, ask)
        .await
        .map_err(|_| {
            format!(
                "the token server did not answer within {} s",
                TOKEN_TIMEOUT.as_secs()
            )
        })??;
    headers.insert(
        AUTHORIZATION,
        secret_header(&format!("Bearer {}", token.access_token))?,
    );
    Ok(())
}

/// The body of an answer, unless it is too large.
pub(super) async fn read_body(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response
        .chunk()
        .await
        .map_err(|error| error_chain(&error))?
    {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(format!("the answer is larger than {LARGEST_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The beginning of a body, for a message.
pub(super) fn excerpt(body: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text: String = String::from_utf8_lossy(body)
        .chars()
        .take(LONGEST)
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
