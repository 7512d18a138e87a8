//! Redirects, for clients that check each hop themselves.

use http::{
    StatusCode,
    header::{HeaderMap, LOCATION},
};
use reqwest::Url;
use thiserror::Error;

/// A redirect that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("redirect to {location:?}: not a URL with http or https")]
pub struct InvalidRedirect {
    /// The header `Location`.
    pub location: String,
}

/// The URL that an answer redirects to; `None` for an answer that is no redirect.
///
/// The caller passes the URL to [`super::EgressPolicy::check`], and decides which headers go along.
pub fn redirect_target(
    status: StatusCode,
    from: &Url,
    headers: &HeaderMap,
) -> Result<Option<Url>, InvalidRedirect> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = headers.get(LOCATION) else {
        return Ok(None);
    };
    let target = location
        .to_str()
        .ok()
        .and_then(|location| from.join(location).ok())
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    match target {
        Some(target) => Ok(Some(target)),
        None => Err(InvalidRedirect {
            location: String::from_utf8_lossy(location.as_bytes()).into_owned(),
        }),
    }
}
