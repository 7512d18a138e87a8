//! What stood in a flag before a Rollout edited it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Annotation of ConfigMaps: the definitions that stood there before, as JSON by `KEY/FLAG`.
pub(super) const ANNOTATION: &str = "rollouts.argoproj.io/feature-flags";

/// What stood there before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SavedFlag {
    /// Name of the Rollout that edited the flag.
    pub rollout: String,
    /// Its uid.
    pub uid: String,
    /// Pod template hash of the version that the edit belongs to.
    pub hash: String,
    /// The definition.
    pub before: Value,
    /// Who the entry belongs to, as seen from a Rollout; not written.
    #[serde(skip)]
    pub holder: Holder,
}

/// Who an entry belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Holder {
    /// The Rollout itself.
    #[default]
    Own,
    /// Another Rollout.
    Other,
    /// A Rollout that is gone.
    Gone,
}

/// The entries of a ConfigMap.
pub(super) type Entries = BTreeMap<String, SavedFlag>;

/// The name of an entry.
pub(super) fn entry(key: &str, flag: &str) -> String {
    format!("{key}/{flag}")
}
