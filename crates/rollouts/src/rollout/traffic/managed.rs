//! Routes that a canary adds beside the split by weight: by header, and mirrors.

use std::{collections::BTreeMap, fmt};

use reconcile_core::object::FieldError;
use serde::Deserialize;
use serde_json::Value;

use super::parse::parse;

/// A route that a step adds under a name of `managedRoutes`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManagedRoute {
    /// Requests with certain headers go to the new version.
    Header(HeaderRoute),
    /// Requests are answered by the stable version, and the new one gets a copy.
    Mirror(MirrorRoute),
}

/// Requests with certain headers go to the new version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderRoute {
    /// Its name, one of `managedRoutes`.
    pub name: String,
    /// All of these must match.
    pub matches: Vec<HeaderMatch>,
}

/// A header and what its value must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderMatch {
    /// Name of the header.
    pub header: String,
    /// Its value.
    pub value: StringMatch,
}

/// How a text must look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StringMatch {
    /// The text as a whole.
    Exact(String),
    /// How the text begins.
    Prefix(String),
    /// A regular expression.
    Regex(String),
}

/// The new version gets a copy of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorRoute {
    /// Its name, one of `managedRoutes`.
    pub name: String,
    /// One of these must match.
    pub matches: Vec<MirrorMatch>,
    /// Share of the requests that is copied; all when absent.
    pub percentage: Option<i32>,
}

/// Which requests are copied; all parts must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorMatch {
    /// Method.
    pub method: Option<StringMatch>,
    /// Path.
    pub path: Option<StringMatch>,
    /// Headers.
    pub headers: BTreeMap<String, StringMatch>,
}

/// What a step does to the routes of a canary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouteStep {
    /// Adds a route, in the place of an older one of its name.
    Set(ManagedRoute),
    /// Removes the route of this name.
    Remove(String),
}

impl ManagedRoute {
    /// Its name.
    pub fn name(&self) -> &str {
        match self {
            Self::Header(route) => &route.name,
            Self::Mirror(route) => &route.name,
        }
    }
}

impl RouteStep {
    /// The name of the route.
    pub fn name(&self) -> &str {
        match self {
            Self::Set(route) => route.name(),
            Self::Remove(name) => name,
        }
    }
}

impl StringMatch {
    /// The kind of match and its text, as Istio spells both.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Exact(text) => ("exact", text),
            Self::Prefix(text) => ("prefix", text),
            Self::Regex(text) => ("regex", text),
        }
    }
}

impl fmt::Display for RouteStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(ManagedRoute::Header(route)) => write!(f, "setHeaderRoute: {}", route.name),
            Self::Set(ManagedRoute::Mirror(route)) => write!(f, "setMirrorRoute: {}", route.name),
            Self::Remove(name) => write!(f, "remove route: {name}"),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawHeaderRoute {
    name: String,
    r#match: Vec<RawHeaderMatch>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct RawHeaderMatch {
    header_name: String,
    header_value: RawStringMatch,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawStringMatch {
    exact: String,
    prefix: String,
    regex: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawMirrorRoute {
    name: String,
    r#match: Vec<RawMirrorMatch>,
    percentage: Option<i32>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawMirrorMatch {
    method: Option<RawStringMatch>,
    path: Option<RawStringMatch>,
    headers: BTreeMap<String, RawStringMatch>,
}

/// Checks a `setHeaderRoute` step.
pub(in crate::rollout) fn header_step(at: &str, value: &Value) -> Result<RouteStep, FieldError> {
    let raw: RawHeaderRoute = parse(at, value)?;
    if raw.r#match.is_empty() {
        return named(at, raw.name).map(RouteStep::Remove);
    }
    let matches = raw.r#match.into_iter().enumerate().map(|(index, raw)| {
        let at = format!("{at}.match[{index}]");
        if raw.header_name.is_empty() {
            return Err(FieldError::new(
                format!("{at}.headerName"),
                "Required value",
            ));
        }
        Ok(HeaderMatch {
            header: raw.header_name,
            value: string_match(&format!("{at}.headerValue"), raw.header_value)?,
        })
    });
    Ok(RouteStep::Set(ManagedRoute::Header(HeaderRoute {
        matches: matches.collect::<Result<_, FieldError>>()?,
        name: named(at, raw.name)?,
    })))
}

/// Checks a `setMirrorRoute` step.
pub(in crate::rollout) fn mirror_step(at: &str, value: &Value) -> Result<RouteStep, FieldError> {
    let raw: RawMirrorRoute = parse(at, value)?;
    if raw.r#match.is_empty() {
        return named(at, raw.name).map(RouteStep::Remove);
    }
    if let Some(percentage) = raw
        .percentage
        .filter(|percentage| !(0..=100).contains(percentage))
    {
        let message = format!("Invalid value: {percentage}: must be between 0 and 100");
        return Err(FieldError::new(format!("{at}.percentage"), message));
    }
    let matches = raw.r#match.into_iter().enumerate().map(|(index, raw)| {
        let at = format!("{at}.match[{index}]");
        let optional = |name: &str, raw: Option<RawStringMatch>| {
            raw.map(|raw| string_match(&format!("{at}.{name}"), raw))
                .transpose()
        };
        let headers = raw.headers.into_iter().map(|(name, raw)| {
            let value = string_match(&format!("{at}.headers[{name}]"), raw)?;
            Ok((name, value))
        });
        Ok(MirrorMatch {
            headers: headers.collect::<Result<_, FieldError>>()?,
            method: optional("method", raw.method)?,
            path: optional("path", raw.path)?,
        })
    });
    Ok(RouteStep::Set(ManagedRoute::Mirror(MirrorRoute {
        matches: matches.collect::<Result<_, FieldError>>()?,
        name: named(at, raw.name)?,
        percentage: raw.percentage,
    })))
}

fn named(at: &str, name: String) -> Result<String, FieldError> {
    if name.is_empty() {
        return Err(FieldError::new(format!("{at}.name"), "Required value"));
    }
    Ok(name)
}

fn string_match(at: &str, raw: RawStringMatch) -> Result<StringMatch, FieldError> {
    match (raw.exact.as_str(), raw.prefix.as_str(), raw.regex.as_str()) {
        (_, "", "") if !raw.exact.is_empty() => Ok(StringMatch::Exact(raw.exact)),
        ("", _, "") if !raw.prefix.is_empty() => Ok(StringMatch::Prefix(raw.prefix)),
        ("", "", _) if !raw.regex.is_empty() => Ok(StringMatch::Regex(raw.regex)),
        _ => Err(FieldError::new(
            at,
            "Invalid value: set one of exact, prefix and regex",
        )),
    }
}
