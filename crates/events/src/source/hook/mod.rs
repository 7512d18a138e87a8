//! Services that call an endpoint in a format of their own: what they sign, what they ask to be confirmed, and
//! what of their requests becomes an event.
//!
//! A new one is a file with a [`Hook`] and a [`HookKind`], its line in [`ALL`], and its rows in
//! `api/source_fields.rs`.
//! Port, path, certificate, token and filter are those of every endpoint.

mod api;
mod bitbucket;
mod bitbucket_server;
mod call;
mod gerrit;
mod github;
mod gitlab;
mod kind;
mod open_pull_requests;
mod registration;
mod signature;
mod slack;
mod sns;
pub mod sns_signature;
mod storage_grid;
mod stripe;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use reconcile_core::{object::FieldError, secret::Secret};
use serde_json::Value;

use super::kind::Input;

pub use call::{Call, Incoming, Reaction};
pub use kind::{Hook, HookKind};
pub use registration::RegistrationKind;

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
