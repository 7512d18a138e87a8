//! Sync windows of the project, asked about one application.

use jiff::Timestamp;

use super::Start;
use crate::{
    api::{OperationState, Time},
    app::Observed,
    project::{SyncAttempt, WindowSubject, WindowVerdict, window_verdict},
};

/// Whether an automated sync may begin.
pub(super) fn automated(observed: &Observed, now: Timestamp) -> WindowVerdict {
    let attempt = SyncAttempt {
        manual: false,
        started: None,
        now,
    };
    verdict(observed, attempt)
}

/// Whether an operation may begin or continue.
pub(super) fn operation(
    observed: &Observed,
    state: &OperationState,
    start: Start,
    now: Timestamp,
) -> WindowVerdict {
    let started = state.started_at.map(Time::timestamp);
    let attempt = SyncAttempt {
        manual: !state.operation.initiated_by.automated,
        started: started.filter(|_| start == Start::Earlier),
        now,
    };
    verdict(observed, attempt)
}

fn verdict(observed: &Observed, attempt: SyncAttempt) -> WindowVerdict {
    let destination = &observed.spec.destination;
    let subject = WindowSubject {
        application: &observed.key.name,
        namespace: &destination.namespace,
        server: &destination.server,
        cluster: &destination.name,
    };
    // A window that cannot be read stops everything; the project says what is wrong.
    window_verdict(&observed.windows, subject, attempt).unwrap_or_else(|error| {
        WindowVerdict::Closed {
            reason: error.to_string(),
            until: None,
        }
    })
}
