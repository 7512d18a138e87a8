//! What the project asks of the commits that are synced.

use reconcile_core::credentials::redact_url;

use super::{Context, Observed, failure::Failure};
use crate::{
    api::ApplicationSource,
    repo::{
        Commit, RequiredSignatures, Resolved, SignatureError, Signed, is_commit_id, is_packed,
        resolve,
    },
};

/// Signatures that a Git source needs.
fn required(
    context: &Context,
    observed: &Observed,
    url: &str,
) -> Result<Option<RequiredSignatures>, Failure> {
    let known = context.project(observed.spec.project_name());
    let Some(known) = known else {
        return Ok(None);
    };
    (known.project.required_signatures(url)).map_err(|error| Failure {
        transient: false,
        message: error.to_string(),
    })
}

/// Why manifests of an operation cannot stand for the sources; `None` when no source needs a signature.
pub(super) fn refuse_manifests(context: &Context, observed: &Observed) -> Option<String> {
    const REFUSED: &str =
        "operation.sync.manifests is not permitted: the project requires signed commits";
    let known = context.project(observed.spec.project_name())?;
    if known.project.signs_everything() {
        return Some(format!("{REFUSED} (spec.signatureKeys)"));
    }
    let sources = observed.spec.sources();
    let signed = (sources.iter())
        .filter(|source| !is_packed(source))
        .any(|source| !matches!(required(context, observed, &source.repo_url), Ok(None)));
    signed.then(|| format!("{REFUSED} (spec.sourceIntegrity)"))
}

/// Fails when the project asks for signatures of everything: charts and artifacts have none.
pub(super) fn refuse_unsigned(
    context: &Context,
    observed: &Observed,
    source: &ApplicationSource,
) -> Result<(), Failure> {
    let known = context.project(observed.spec.project_name());
    if !known.is_some_and(|known| known.project.signs_everything()) {
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

/// Fails when the project asks for a signature that the revision does not have.
pub(super) async fn check_signature(
    context: &Context,
    observed: &Observed,
    source: &ApplicationSource,
    (at, commit): (&Resolved, &Commit),
) -> Result<(), Failure> {
    let url = source.repo_url.as_str();
    let Some(required) = required(context, observed, url)? else {
        return Ok(());
    };
    let at = named(context, source, at).await;
    let signed = Signed {
        url,
        at: &at,
        commit,
    };
    let verified = (context.signatures)
        .verify(&context.repos, signed, &required)
        .await;
    verified?.map_err(|error| Failure {
        transient: matches!(error, SignatureError::Unchecked { .. }),
        message: error.to_string(),
    })
}

/// The revision with the ref that the source names. A sync is pinned to a commit, and the signature of a tag counts for it
/// as long as the tag leads there.
async fn named(context: &Context, source: &ApplicationSource, at: &Resolved) -> Resolved {
    let plain = Resolved {
        commit: at.commit.clone(),
        reference: None,
    };
    if is_commit_id(&source.target_revision) {
        return plain;
    }
    let Ok(listed) = context.repos.refs(&source.repo_url, None).await else {
        return plain;
    };
    resolve(&listed.refs, &source.target_revision, &source.tag_prefix)
        .ok()
        .filter(|found| found.commit == at.commit)
        .unwrap_or(plain)
}
