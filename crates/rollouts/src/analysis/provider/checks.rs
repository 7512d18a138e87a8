//! Checks of configuration that several providers need.

use std::time::Duration;

use reconcile_core::{kube_types::GoDuration, object::FieldError};
use reqwest::Url;

use crate::api::analysis::{Authentication, Header};

/// What replaces the value of a Secret while a metric is checked.
pub(in crate::analysis) const SECRET_STAND_IN: &str = "temp-for-secret";
/// Longest time that a metric may ask for; a longer one is cut, so that no measurement hangs for ever.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(10);

/// The text of a field; `None` when it is absent or empty.
pub(super) fn filled(field: Option<&String>) -> Option<&str> {
    field.map(String::as_str).filter(|text| !text.is_empty())
}

/// The text of a field that must be there.
pub(super) fn required<'a>(path: &str, field: Option<&'a String>) -> Result<&'a str, FieldError> {
    filled(field).ok_or_else(|| FieldError::new(path, "must be set"))
}

/// An absolute `http` or `https` URL. A URL that comes from a Secret is checked when it is used.
pub(super) fn url(path: &str, text: &str) -> Result<(), FieldError> {
    if text.contains(SECRET_STAND_IN) {
        return Ok(());
    }
    parse_url(text).map(drop).map_err(|reason| {
        FieldError::new(path, format!("{reason}; use for example http://host:9090"))
    })
}

/// Parses an absolute `http` or `https` URL; the error is a sentence.
pub(super) fn parse_url(text: &str) -> Result<Url, String> {
    let parsed = Url::parse(text).map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() {
        Ok(parsed)
    } else {
        Err(format!("{text:?} is not an http or https URL"))
    }
}

/// A path below the address of a server, which may have a path of its own.
pub(super) fn below(mut server: Url, path: &str) -> Url {
    let joined = format!("{}/{path}", server.path().trim_end_matches('/'));
    server.set_path(&joined);
    server
}

/// A Go duration of more than nothing; `default` when the field is absent.
pub(super) fn duration(
    path: &str,
    field: Option<&String>,
    default: Duration,
) -> Result<Duration, FieldError> {
    let Some(text) = filled(field) else {
        return Ok(default);
    };
    if text.contains(SECRET_STAND_IN) {
        return Ok(default);
    }
    let parsed: GoDuration = text.parse().map_err(|error| {
        FieldError::new(path, format!("{error}; use a duration such as 30s or 5m"))
    })?;
    if parsed.as_secs_f64() > 0.0 {
        Ok(parsed.to_std())
    } else {
        Err(FieldError::new(
            path,
            "must be a positive duration, for example 30s",
        ))
    }
}

/// `wanted`, but not longer than a measurement may take.
pub(super) fn bounded(wanted: Duration) -> Duration {
    wanted.min(LONGEST_TIMEOUT)
}

/// The time that a metric asks for in seconds, or `default`. A negative one is `None`.
pub(super) fn seconds(field: Option<i64>, default: Duration) -> Option<Duration> {
    match field.unwrap_or_default() {
        0 => Some(default),
        seconds => u64::try_from(seconds)
            .ok()
            .map(|seconds| bounded(Duration::from_secs(seconds))),
    }
}

/// Names and values of request headers.
pub(super) fn headers(path: &str, wanted: &[Header]) -> Result<(), FieldError> {
    for (index, header) in wanted.iter().enumerate() {
        let at = |field: &str| format!("{path}[{index}].{field}");
        if reqwest::header::HeaderName::try_from(header.key.as_str()).is_err() {
            let message = format!("{:?} is not the name of a header", header.key);
            return Err(FieldError::new(at("key"), message));
        }
        if reqwest::header::HeaderValue::try_from(header.value.as_str()).is_err() {
            let message = "has characters that a header cannot have";
            return Err(FieldError::new(at("value"), message));
        }
    }
    Ok(())
}

/// A login: OAuth 2 needs all of its parts.
pub(super) fn login(path: &str, login: Option<&Authentication>) -> Result<(), FieldError> {
    let Some(oauth2) = login.and_then(|login| login.oauth2.as_ref()) else {
        return Ok(());
    };
    let at = |field: &str| format!("{path}.oauth2.{field}");
    let Some(token_url) = filled(oauth2.token_url.as_ref()) else {
        return Ok(());
    };
    url(&at("tokenUrl"), token_url)?;
    required(&at("clientId"), oauth2.client_id.as_ref())?;
    required(&at("clientSecret"), oauth2.client_secret.as_ref()).map(drop)
}
