//! What the providers that speak HTTP share: connections, headers, logins, bounded answers.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use reconcile_core::error::error_chain;
use reqwest::{
    Client, Response, Url,
    header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{ProviderError, redaction::Redactor};
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

/// Redirects that are followed for one request.
const MOST_REDIRECTS: usize = 10;

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientOptions {
    /// Accept any server certificate.
    pub(super) insecure: bool,
    /// Where redirects may lead.
    pub(super) redirects: Redirects,
}

/// Where redirects may lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Redirects {
    /// Anywhere: the request holds nothing but its URL.
    Anywhere,
    /// To the same host and port, or from http to https on the same host: the request holds headers, a
    /// login or a body that are meant for this server only.
    SameServer,
}

impl Redirects {
    /// [`Redirects::SameServer`] for a request with something to protect.
    pub(super) fn for_request(has_private_parts: bool) -> Self {
        if has_private_parts {
            Self::SameServer
        } else {
            Self::Anywhere
        }
    }

    fn policy(self) -> redirect::Policy {
        match self {
            Self::Anywhere => redirect::Policy::limited(MOST_REDIRECTS),
            Self::SameServer => redirect::Policy::custom(|attempt| {
                let from = attempt.previous().last();
                if from.is_none_or(|from| !is_same_server(from, attempt.url())) {
                    let host = attempt.url().host_str().unwrap_or_default().to_owned();
                    attempt.error(format!(
                        "redirect to another server ({host}); its headers and body stay here"
                    ))
                } else if attempt.previous().len() > MOST_REDIRECTS {
                    attempt.error("too many redirects")
                } else {
                    attempt.follow()
                }
            }),
        }
    }
}

fn is_same_server(from: &Url, to: &Url) -> bool {
    let same_port = from.port_or_known_default() == to.port_or_known_default();
    let upgrade = from.scheme() == "http"
        && to.scheme() == "https"
        && from.port().is_none()
        && to.port().is_none();
    from.host() == to.host() && (upgrade || (from.scheme() == to.scheme() && same_port))
}

/// HTTP clients, made when first needed: most installations use one of them or none.
#[derive(Debug, Default)]
pub(super) struct HttpClients(Mutex<HashMap<ClientOptions, Client>>);

impl HttpClients {
    /// The client with these options.
    pub(super) fn client(&self, options: ClientOptions) -> Result<Client, ProviderError> {
        let mut clients = self.0.lock();
        if let Some(client) = clients.get(&options) {
            return Ok(client.clone());
        }
        let client = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .tls_danger_accept_invalid_certs(options.insecure)
            .redirect(options.redirects.policy())
            // The URL may hold a key.
            .referer(false)
            // Nothing is inflated, so the cap on answers counts what a server sends.
            .no_gzip()
            .no_brotli()
            .no_deflate()
            .no_zstd()
            .user_agent(concat!("rollouts/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ProviderError::invalid(error_chain(&error)))?;
        clients.insert(options, client.clone());
        Ok(client)
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
) -> Result<HeaderMap, ProviderError> {
    let mut headers = HeaderMap::new();
    for header in wanted {
        let name = HeaderName::try_from(header.key.as_str());
        let value = HeaderValue::try_from(header.value.as_str());
        match (name, value) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
            _ => {
                let message = format!("header {:?} is not valid", header.key);
                return Err(ProviderError::invalid(message));
            }
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

fn basic(name: &str, password: &str) -> Result<HeaderValue, ProviderError> {
    let pair = expressions::go_text::base64_standard(format!("{name}:{password}").as_bytes());
    secret_header(&format!("Basic {pair}"))
}

fn secret_header(text: &str) -> Result<HeaderValue, ProviderError> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| ProviderError::invalid("the credentials are not valid in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Client credentials of OAuth 2 that a metric asks for.
#[derive(Debug)]
pub(super) struct TokenLogin {
    url: String,
    id: String,
    secret: SecretString,
    scopes: String,
}

#[derive(Deserialize)]
struct Token {
    access_token: SecretString,
}

impl TokenLogin {
    /// The login of a metric; none when it asks for none.
    pub(super) fn new(
        authentication: Option<&Authentication>,
    ) -> Result<Option<Self>, ProviderError> {
        let Some(oauth2) = authentication.and_then(|how| how.oauth2.as_ref()) else {
            return Ok(None);
        };
        let filled = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        let OAuth2 {
            token_url,
            client_id,
            client_secret,
            scopes,
        } = oauth2;
        let Some(url) = filled(token_url) else {
            return Ok(None);
        };
        let (Some(id), Some(secret)) = (filled(client_id), filled(client_secret)) else {
            return Err(ProviderError::invalid(
                "missing mandatory parameter in metric for OAuth2 setup",
            ));
        };
        Ok(Some(Self {
            url,
            id,
            secret: SecretString::from(secret),
            scopes: scopes.join(" "),
        }))
    }

    /// Gets a token and puts it into `headers`; `redactor` learns it.
    pub(super) async fn log_in(
        &self,
        client: &Client,
        redactor: &Redactor,
        headers: &mut HeaderMap,
    ) -> Result<(), ProviderError> {
        let token = tokio::time::timeout(TOKEN_TIMEOUT, self.ask(client)).await;
        let token = token.map_err(|_| {
            ProviderError::unavailable(format!(
                "the token server did not answer within {} s",
                TOKEN_TIMEOUT.as_secs()
            ))
        })??;
        let token = token.access_token.expose_secret();
        redactor.add(token);
        headers.insert(AUTHORIZATION, secret_header(&format!("Bearer {token}"))?);
        Ok(())
    }

    async fn ask(&self, client: &Client) -> Result<Token, ProviderError> {
        let mut form = vec![("grant_type", "client_credentials")];
        if !self.scopes.is_empty() {
            form.push(("scope", &self.scopes));
        }
        let sent = client
            .post(&self.url)
            .header(AUTHORIZATION, basic(&self.id, self.secret.expose_secret())?)
            .form(&form)
            .send()
            .await;
        let response = sent.map_err(|error| ProviderError::unavailable(error_chain(&error)))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = read_body(response).await?;
        serde_json::from_slice::<Token>(&body).map_err(|_| {
            let message = format!("the token server answered {status}: {}", excerpt(&body));
            ProviderError::status(status, &headers, message)
        })
    }
}

/// The body of an answer, unless it is too large.
pub(super) async fn read_body(mut response: Response) -> Result<Vec<u8>, ProviderError> {
    let too_large =
        || ProviderError::answer(format!("the answer is larger than {LARGEST_ANSWER} bytes"));
    let announced = response.content_length().unwrap_or_default();
    if usize::try_from(announced).is_ok_and(|length| length > LARGEST_ANSWER) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    loop {
        let chunk = response.chunk().await;
        match chunk.map_err(|error| ProviderError::unavailable(error_chain(&error)))? {
            None => return Ok(body),
            Some(chunk) if body.len() + chunk.len() > LARGEST_ANSWER => return Err(too_large()),
            Some(chunk) => body.extend_from_slice(&chunk),
        }
    }
}

/// A body as text, for a message. Messages are shortened after they are redacted.
pub(super) fn excerpt(body: &[u8]) -> String {
    String::from_utf8_lossy(body).into_owned()
}
