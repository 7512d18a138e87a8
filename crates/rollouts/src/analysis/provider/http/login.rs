//! Credentials of a request: name and password, a token of OAuth 2, or a signature of AWS.

use std::time::Duration;

use reqwest::{
    Method, Url,
    header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use serde::Deserialize;

use super::{Call, Http, sigv4::Signature};
use crate::{
    analysis::provider::{
        checks::{filled, parse_url},
        error::ProviderError,
        redaction::Redactor,
    },
    api::analysis::{Authentication, BasicAuth, Header, OAuth2},
};

/// Time for a token; a login server that takes longer must not eat the time of the measurement.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

/// How a request gets credentials just before it is sent.
#[derive(Clone, Debug, Default)]
pub(in crate::analysis::provider) enum Login {
    /// Its headers have all it needs.
    #[default]
    None,
    /// A token of OAuth 2 by client credentials.
    Token(Box<TokenRequest>),
    /// A signature of AWS.
    Signature(Signature),
}

#[derive(Clone, Debug)]
pub(in crate::analysis::provider) struct TokenRequest {
    url: Url,
    authorization: HeaderValue,
    scopes: String,
}

impl Login {
    /// What `authentication` asks for beyond headers, if it asks for a token.
    pub(in crate::analysis::provider) fn token(
        authentication: Option<&Authentication>,
        redactor: &Redactor,
    ) -> Result<Self, ProviderError> {
        let Some(oauth2) = authentication.and_then(|how| how.oauth2.as_ref()) else {
            return Ok(Self::None);
        };
        let OAuth2 {
            token_url,
            client_id,
            client_secret,
            scopes,
        } = oauth2;
        let Some(url) = filled(token_url.as_ref()) else {
            return Ok(Self::None);
        };
        let (Some(id), Some(secret)) = (filled(client_id.as_ref()), filled(client_secret.as_ref()))
        else {
            return Err(ProviderError::invalid(
                "missing mandatory parameter in metric for OAuth2 setup",
            ));
        };
        Ok(Self::Token(Box::new(TokenRequest {
            url: parse_url(url).map_err(ProviderError::invalid)?,
            authorization: basic(id, secret, redactor)?,
            scopes: scopes.join(" "),
        })))
    }
}

/// The headers that a metric asks for, with the login by name and password.
pub(in crate::analysis::provider) fn headers(
    wanted: &[Header],
    authentication: Option<&Authentication>,
    redactor: &Redactor,
) -> Result<HeaderMap, ProviderError> {
    let mut headers = HeaderMap::new();
    for header in wanted {
        let name = HeaderName::try_from(header.key.as_str());
        let value = HeaderValue::try_from(header.value.as_str());
        if let (Ok(name), Ok(mut value)) = (name, value) {
            // Nobody knows which of them are credentials.
            value.set_sensitive(true);
            headers.append(name, value);
        } else {
            let message = format!("the header {:?} is not valid", header.key);
            return Err(ProviderError::invalid(message));
        }
    }
    let login = authentication.and_then(|how| how.basic_auth.as_ref());
    if let Some(BasicAuth { username, password }) = login {
        let (name, password) = (filled(username.as_ref()), filled(password.as_ref()));
        if name.is_some() || password.is_some() {
            let (name, password) = (name.unwrap_or_default(), password.unwrap_or_default());
            headers.insert(AUTHORIZATION, basic(name, password, redactor)?);
        }
    }
    Ok(headers)
}

/// A header value that nobody prints.
pub(in crate::analysis::provider) fn secret_header(
    text: &str,
) -> Result<HeaderValue, ProviderError> {
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| ProviderError::invalid("the credentials are not valid in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn basic(name: &str, password: &str, redactor: &Redactor) -> Result<HeaderValue, ProviderError> {
    redactor.add_login(name, password);
    let pair = expressions::go_text::base64_standard(format!("{name}:{password}").as_bytes());
    secret_header(&format!("Basic {pair}"))
}

#[derive(Deserialize)]
struct Token {
    access_token: String,
}

impl TokenRequest {
    fn form(&self) -> String {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.scopes.is_empty() {
            form.append_pair("scope", &self.scopes);
        }
        form.finish()
    }

    /// Gets a token and puts it into `headers`.
    pub(super) async fn log_in(
        &self,
        http: &Http,
        insecure: bool,
        redactor: &Redactor,
        headers: &mut HeaderMap,
    ) -> Result<(), ProviderError> {
        let mut call = Call::get(self.url.clone(), TOKEN_TIMEOUT);
        call.method = Method::POST;
        call.insecure = insecure;
        call.body = self.form().into_bytes();
        call.headers
            .insert(AUTHORIZATION, self.authorization.clone());
        let form = HeaderValue::from_static("application/x-www-form-urlencoded");
        call.headers.insert(CONTENT_TYPE, form);
        let exchange = http.exchange(&call, redactor).await;
        let reply = exchange.map_err(|error| ProviderError {
            message: format!("cannot get a token: {}", error.message),
            ..error
        })?;
        if !reply.status.is_success() {
            return Err(reply.refusal("the token server answered"));
        }
        let Ok(Token { access_token }) = serde_json::from_slice(&reply.body) else {
            // The answer is not quoted: a token may be anywhere in it.
            return Err(ProviderError::answer(
                "the answer of the token server has no text \"access_token\"",
            ));
        };
        redactor.add(&access_token);
        headers.insert(
            AUTHORIZATION,
            secret_header(&format!("Bearer {access_token}"))?,
        );
        Ok(())
    }
}
