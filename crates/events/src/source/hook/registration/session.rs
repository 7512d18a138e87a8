//! Requests to the API of a service.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde_json::Value;
use url::form_urlencoded;

use crate::{
    http_client::Call,
    source::{
        http_server::HttpServer,
        kind::{Input, SourceError},
        service_context::ServiceContext,
    },
};

/// For one request.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// Lists of hooks are small.
const ANSWER: usize = 4 << 20;

/// Requests of one pass.
pub(super) struct Session<'s> {
    context: &'s ServiceContext,
    server: HttpServer,
    headers: HeaderMap,
}

impl<'s> Session<'s> {
    /// With the headers that prove who asks.
    pub(super) fn new(
        context: &'s ServiceContext,
        server: HttpServer,
        mut headers: HeaderMap,
    ) -> Self {
        headers.insert(header::USER_AGENT, HeaderValue::from_static("argo-events"));
        Self {
            context,
            server,
            headers,
        }
    }

    pub(super) fn context(&self) -> &'s ServiceContext {
        self.context
    }

    /// The service said this.
    pub(super) fn failed(&self, reason: &str) -> SourceError {
        self.server.failed(reason)
    }

    /// The JSON of an answer that is not a refusal.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
    ) -> Result<Value, SourceError> {
        let call = self.call(method, url, body);
        ask(self.context, &self.server, call).await
    }

    /// Posts the fields of a form.
    pub(super) async fn submit(
        &self,
        url: Url,
        fields: &[(&str, &str)],
    ) -> Result<Value, SourceError> {
        let mut call = self.call(Method::POST, url, None);
        call.headers.insert(header::CONTENT_TYPE, FORM);
        call.body = Some(form(fields));
        ask(self.context, &self.server, call).await
    }

    /// Removes what is at `url`, or is not there any more.
    pub(super) async fn remove(&self, url: Url) -> Result<(), SourceError> {
        let call = self.call(Method::DELETE, url, None);
        let (status, body) = answer(self.context, &self.server, call).await?;
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(()),
            status if status.is_success() => Ok(()),
            status => Err(refused(
                self.context,
                &self.server,
                &Method::DELETE,
                status,
                &body,
            )),
        }
    }

    fn call(&self, method: Method, url: Url, body: Option<&Value>) -> Call {
        let mut headers = self.headers.clone();
        if body.is_some() {
            headers.insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            );
        }
        Call {
            method,
            url,
            headers,
            body: body.map(|body| Bytes::from(body.to_string())),
            timeout: DEADLINE,
        }
    }
}

/// The type of [`form`].
pub(super) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// The fields of a form, as a body.
pub(super) fn form(fields: &[(&str, &str)]) -> Bytes {
    let mut form = form_urlencoded::Serializer::new(String::new());
    Bytes::from(form.extend_pairs(fields).finish())
}

/// The JSON of an answer that is not a refusal.
pub(super) async fn ask(
    context: &ServiceContext,
    server: &HttpServer,
    call: Call,
) -> Result<Value, SourceError> {
    let method = call.method.clone();
    let (status, body) = answer(context, server, call).await?;
    if !status.is_success() {
        return Err(refused(context, server, &method, status, &body));
    }
    if body.is_empty() {
        return Ok(Value::Null);
    }
    // Gerrit's answers begin with what no script can read.
    let text = body.strip_prefix(b")]}'").unwrap_or(&body);
    serde_json::from_slice(text).map_err(|_| server.failed("the answer is not JSON"))
}

async fn answer(
    context: &ServiceContext,
    server: &HttpServer,
    call: Call,
) -> Result<(StatusCode, Bytes), SourceError> {
    let answer = server.send(call).await?;
    let status = answer.status();
    let held = server.body(context, answer, ANSWER).await?;
    Ok((status, Bytes::copy_from_slice(&held.bytes)))
}

fn refused(
    context: &ServiceContext,
    server: &HttpServer,
    method: &Method,
    status: StatusCode,
    body: &[u8],
) -> SourceError {
    let excerpt = context.excerpt(&String::from_utf8_lossy(body));
    server.failed(&format!("{method} answered {}: {excerpt}", status.as_u16()))
}

/// The headers with a token, which no text shows.
pub(super) fn bearer(context: &ServiceContext, field: &str) -> HeaderMap {
    let token = context.secret(field).map(|token| token.expose().to_owned());
    secret_header(
        header::AUTHORIZATION,
        &format!("Bearer {}", token.unwrap_or_default()),
    )
}

pub(super) fn secret_header(name: header::HeaderName, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Ok(mut value) = HeaderValue::from_str(value) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    headers
}

/// The base of an API, with a path to which segments are added.
pub(in crate::source::hook) fn base(
    input: &Input<'_>,
    field: &str,
    given: &str,
    default: &str,
) -> Result<Url, FieldError> {
    let text = if given.is_empty() { default } else { given };
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.query().is_none()
    });
    url.ok_or_else(|| input.wrong(field, format!("{text:?} is not a URL without a user")))
}

/// A URL below `base`; each segment is one, whatever is in it.
pub(in crate::source::hook) fn below<'s>(
    base: &Url,
    segments: impl IntoIterator<Item = &'s str>,
) -> Url {
    let mut url = base.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}
