//! Manifests that an operation brings itself.

use std::sync::Arc;

use super::{Observed, Place, SourceState, signatures::refuse_manifests};
use crate::render::{Placement, RenderFailure, local_targets};

/// Manifests that the operation brings itself, under the revision that the sources have.
pub(super) async fn read(
    at: Place<'_>,
    observed: &Observed,
    placement: Placement,
    manifests: Vec<String>,
) -> SourceState {
    let Some((revisions, _)) = observed.source.ready() else {
        return observed.source.clone();
    };
    let revisions = revisions.clone();
    if let Some(refused) = refuse_manifests(at.context, observed) {
        return SourceState::refused(refused);
    }
    let discovery = at.cluster.discovery.clone();
    let scope = move |group: &str, kind: &str| discovery.scope(group, kind);
    let built = at.context.repos.read(move |interrupt| {
        local_targets(manifests, &placement, interrupt, scope).map(Arc::new)
    });
    let built = built.await.map_err(RenderFailure::from);
    match built.and_then(|built| built.map_err(RenderFailure::from)) {
        Ok(set) => SourceState::Ready { revisions, set },
        Err(failure) => SourceState::Failed {
            transient: failure.is_transient(),
            message: failure.to_string(),
            grace: false,
        },
    }
}
