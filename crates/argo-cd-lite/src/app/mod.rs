//! The controller of Applications: observe, validate, plan, apply, report.

mod apply;
mod context;
mod error;
mod failure;
mod inspect;
mod live_state;
mod local_source;
mod notes;
mod observe;
mod observed;
mod original;
mod orphans;
pub mod plan;
mod signatures;
mod source;
mod status;
mod validate;

use context::Place;
pub use context::{Context, KnownProject, Settings};
pub use error::{InvalidOperation, ObserveError};
pub use inspect::{Inspection, inspect, orphans as orphans_of};
pub use notes::{AppNotes, HardRefresh};
pub(crate) use observe::destination_of;
pub use observed::{Observed, Problem, Refresh, Skip, SourceState};
pub use original::{OriginalController, refusal as original_refusal};

use jiff::Timestamp;
use reconcile_core::{
    error::error_chain,
    object::{ObjectKey, Root},
    reconcile::{Controller, Done, Report},
};

use crate::api::Application;
use plan::{Action, Decision};

/// The controller; one for all Applications.
pub struct Applications {
    context: Context,
}

impl Applications {
    /// A controller that acts through `context`.
    pub fn new(context: Context) -> Self {
        Self { context }
    }
}

impl Controller for Applications {
    type Kind = Application;
    type Observed = Observed;
    type Action = Action;
    type Decision = Decision;
    type Applied = apply::Applied;
    type Error = ObserveError;

    const NAME: &'static str = "argocd-application-controller";

    async fn observe(&self, root: &Root<Application>) -> Result<Observed, ObserveError> {
        let started = self.context.clock.now();
        let observed = observe::observe(&self.context, root).await;
        let took = self
            .context
            .clock
            .now()
            .duration_since(started)
            .as_secs_f64();
        let server = match &observed {
            Ok(observed) => self.context.clusters.server_of(&observed.spec.destination),
            Err(_) => self.context.clusters.server_of(&destination_of(root)),
        };
        let namespace = root.metadata.namespace.as_deref().unwrap_or_default();
        self.context.metrics.reconciled(namespace, &server, took);
        observed
    }

    fn plan(observed: &Observed, now: Timestamp) -> Decision {
        plan::plan(observed, now)
    }

    async fn apply(
        &self,
        observed: &Observed,
        action: &Action,
    ) -> Result<apply::Applied, ObserveError> {
        apply::apply(&self.context, observed, action).await
    }

    fn report(
        observed: &Observed,
        decision: &Decision,
        done: &[Done<apply::Applied, ObserveError>],
        now: Timestamp,
    ) -> Report {
        let applied: Vec<&apply::Applied> = done
            .iter()
            .filter_map(|done| done.result.as_ref().ok())
            .collect();
        let failure = done
            .iter()
            .find_map(|done| done.result.as_ref().err())
            .map(|error| error_chain(error));
        let outcome = status::Effects {
            applied: &applied,
            failure: failure.as_deref(),
        };
        status::report(observed, decision, &outcome, now)
    }

    fn reject(root: &Root<Application>, error: &ObserveError, now: Timestamp) -> Report {
        status::reject(root, error, now)
    }

    fn let_go(&self, key: &ObjectKey) {
        self.context.forget(key);
    }

    fn forget(&self, key: &ObjectKey) {
        apply::release_hooks(&self.context, key);
        self.context.forget(key);
    }
}

#[cfg(test)]
mod tests;
