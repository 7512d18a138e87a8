//! Flux.
#![expect(
    clippy::unnecessary_wraps,
    reason = "edits share one signature, and some of them can fail"
)]

use serde_json::Value;

use super::{
    super::{
        ActionError, Call,
        row::{Effect::Edit, Row, State, row, set},
    },
    fields::is_true,
    icons::RESTART,
    switches::{suspend, unsuspend},
};

/// Kinds of Flux by group; all of them know `spec.suspend`.
pub(super) const KINDS: &[(&str, &str)] = &[
    ("kustomize.toolkit.fluxcd.io", "Kustomization"),
    ("helm.toolkit.fluxcd.io", "HelmRelease"),
    (
        "source.toolkit.fluxcd.io",
        "GitRepository|Bucket|HelmChart|HelmRepository|OCIRepository",
    ),
    (
        "image.toolkit.fluxcd.io",
        "ImageRepository|ImageUpdateAutomation",
    ),
    ("notification.toolkit.fluxcd.io", "Receiver|Alert|Provider"),
];

/// Rows of Flux, in the group and for the kinds of each.
pub(super) const fn rows(group: &'static str, kinds: &'static str) -> [Row; 3] {
    [
        suspend(group, kinds, |object| {
            State::when(!is_true(object, "/spec/suspend"))
        }),
        unsuspend(group, kinds, |object| {
            State::when(is_true(object, "/spec/suspend"))
        }),
        row(group, kinds, "reconcile", Edit(request_reconciliation))
            .state(|object| {
                let listens = !matches!(object["kind"].as_str(), Some("Alert" | "Provider"));
                if listens {
                    State::when(!is_true(object, "/spec/suspend"))
                } else {
                    State::Absent
                }
            })
            .shown("", RESTART),
    ]
}

fn request_reconciliation(object: &mut Value, call: &Call<'_>) -> Result<(), ActionError> {
    let path = &["metadata", "annotations", "reconcile.fluxcd.io/requestedAt"];
    let at = call.now.strftime("By Argo CD at: %Y-%m-%dT%H:%M:%S");
    set(object, path, at.to_string().into());
    Ok(())
}
