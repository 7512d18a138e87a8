//! What the project asks of the commits that are synced.

use reconcile_core::credentials::redact_url;

use super::{Context, Observed, failure::Failure};
use crate::{
    api::ApplicationSource,
    repo::{Commit, SignatureError},
};

/// Ids of the keys one of which has to have signed what is synced.
pub(super) fn required_keys(context: &Context, observed: &Observed) -> Vec<String> {
    let known = context.project(observed.spec.project_name());
    let keys = known
        .iter()
        .flat_map(|known| &known.project.spec.signature_keys);
    keys.map(|key| key.key_id.clone()).collect()
}

/// Fails when the project asks for signatures: charts and artifacts have none.
pub(super) fn refuse_unsigned(
    context: &Context,
    observed: &Observed,
    source: &ApplicationSource,
) -> Result<(), Failure> {
    if required_keys(context, observed).is_empty() {
        return Ok(());
    }
    Err(Failure {
        transient: false,
        message: format!(
            "the project requires signed commits (spec.signatureKeys), and {} is no Git repository",
            redact_url(&source.repo_url)
        ),
    })
}

/// Fails when the project asks for a signature that the commit does not have.
pub(super) async fn check_signature(
    context: &Context,
    observed: &Observed,
    commit: &Commit,
) -> Result<(), Failure> {
    let keys = required_keys(context, observed);
    if keys.is_empty() {
        return Ok(());
    }
    let verified = context.signatures.verify(&context.repos, commit, &keys);
    verified.await?.map_err(|error| Failure {
        transient: matches!(error, SignatureError::Unchecked { .. }),
        message: error.to_string(),
    })
}
