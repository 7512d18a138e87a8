//! What a service that calls an endpoint has to say about itself.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use reconcile_core::object::FieldError;

use super::{
    call::{Call, Reaction},
    registration::RegistrationKind,
};
use crate::{
    api::KeySelector,
    source::{kind::Input, request::Answer},
};

/// A service that calls an endpoint.
#[derive(Debug)]
pub struct HookKind {
    /// The key below `spec`.
    pub key: &'static str,
    /// The `type` of its events, which upstream writes in lower case for some.
    pub event_type: &'static str,
    /// `filter.expression` decides which requests become events; upstream has it for most.
    pub has_expression: bool,
    /// How its webhooks are registered, where that is done here.
    pub registration: Option<&'static RegistrationKind>,
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

/// The Secrets among `all` that are given.
pub(super) fn given<const N: usize>(
    all: [(&'static str, &Option<KeySelector>); N],
) -> Vec<(&'static str, KeySelector)> {
    all.into_iter()
        .filter_map(|(field, selector)| Some((field, selector.clone()?)))
        .collect()
}
