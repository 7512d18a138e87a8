//! What a source has registered at its service, and what becomes of it when its event is deleted.

use std::collections::BTreeSet;

use futures::future::BoxFuture;

use super::{kind::SourceError, service_context::ServiceContext};

/// Webhooks or a subscription, which stay at the service when the task ends.
pub trait Registered: Send + Sync {
    /// Whether the manifest wants them removed when the event is deleted.
    fn ends_with_event(&self) -> bool;

    /// A name for each, the same for the same one at the same service, whichever event has registered it. `uid` is that
    /// of the EventSource.
    fn names(&self, uid: &str, event: &str) -> BTreeSet<String>;

    /// Removes them, but for those whose names are in `kept`. One that is gone already is no error.
    fn remove<'r>(
        &'r self,
        context: &'r ServiceContext,
        kept: &'r BTreeSet<String>,
    ) -> BoxFuture<'r, Result<(), SourceError>>;
}
