//! Services that call an endpoint in a format of their own: what they sign, what they ask to be confirmed, and
//! what of their requests becomes an event.
//!
//! A new one is a file with a [`Hook`] and a [`HookKind`], its line in [`ALL`], and its rows in
//! `api/source_fields.rs`.
//! Port, path, certificate, token and filter are those of every endpoint.

mod bitbucket;
mod bitbucket_server;
mod call;
mod gerrit;
mod github;
mod gitlab;
mod signature;
mod slack;
mod sns;
mod sns_signature;
mod storage_grid;
mod stripe;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use reconcile_core::{object::FieldError, secret::Secret};
use serde_json::Value;

use super::{kind::Input, webhook::Answer};
use crate::api::KeySelector;

pub use call::{Call, Incoming, Reaction};

/// All services, in the order in which their events are checked.
pub const ALL: &[&HookKind] = &[
    &github::KIND,
    &gitlab::KIND,
    &bitbucket::KIND,
    &bitbucket_server::KIND,
    &gerrit::KIND,
    &slack::KIND,
    &stripe::KIND,
    &storage_grid::KIND,
    &sns::KIND,
];

/// A service that calls an endpoint.
#[derive(Debug)]
pub struct HookKind {
    /// The key below `spec`.
    pub key: &'static str,
    /// The `type` of its events, which upstream writes in lower case for some.
    pub event_type: &'static str,
    /// `filter.expression` decides which requests become events; upstream has it for most.
    pub has_expression: bool,
    /// Checks the settings of one event, without those below `webhook`.
    pub check: fn(&Input<'_>) -> Result<Arc<dyn Hook>, FieldError>,
}

/// Reads the requests of a service.
pub trait Hook: fmt::Debug + Send + Sync {
    /// The Secrets that it needs, by field.
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        Vec::new()
    }

    /// Checks a request and says what becomes of it. The error is the answer to a request that is refused.
    fn receive<'r>(&'r self, call: &'r Call<'r>) -> BoxFuture<'r, Result<Reaction, Answer>>;
}

/// The service behind an endpoint. Equal ones behave the same.
#[derive(Clone)]
pub struct BoundHook {
    /// The service.
    pub kind: &'static HookKind,
    /// As checked.
    pub hook: Arc<dyn Hook>,
    /// Values of what [`Hook::secrets`] names, by field.
    pub secrets: Vec<(&'static str, Secret)>,
    config: Value,
}

impl BoundHook {
    /// Checks the settings `value` of an event; its secrets are not read yet.
    pub fn check(kind: &'static HookKind, path: &str, value: &Value) -> Result<Self, FieldError> {
        Ok(Self {
            kind,
            hook: (kind.check)(&Input { path, value })?,
            secrets: Vec::new(),
            config: value.clone(),
        })
    }
}

impl fmt::Debug for BoundHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.key)
    }
}

impl PartialEq for BoundHook {
    fn eq(&self, other: &Self) -> bool {
        // The rest is made of these.
        self.kind.key == other.kind.key
            && self.config == other.config
            && self.secrets == other.secrets
    }
}

impl Eq for BoundHook {}

/// The Secrets among `all` that are given.
fn given<const N: usize>(
    all: [(&'static str, &Option<KeySelector>); N],
) -> Vec<(&'static str, KeySelector)> {
    all.into_iter()
        .filter_map(|(field, selector)| Some((field, selector.clone()?)))
        .collect()
}
