//! When an action counts as successful.

use std::collections::BTreeMap;

use reconcile_core::object::FieldError;

use crate::{api::trigger::Policy, sensor::retry::Retry};

/// When an action counts as successful.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SuccessPolicy {
    /// HTTP statuses; every status when empty.
    pub statuses: Vec<u16>,
    /// Labels that the object must get.
    pub labels: Option<LabelPolicy>,
}

/// Labels that an object must get for its trigger to be successful.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelPolicy {
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// Looks and pauses.
    pub looks: Retry,
    /// Running out of looks is a failure.
    pub required: bool,
}

impl SuccessPolicy {
    /// Whether an action with this HTTP status was successful: one of those that the manifest lists, or without a list
    /// any that means success.
    pub fn accepts(&self, status: u16) -> bool {
        if self.statuses.is_empty() {
            (200..300).contains(&status)
        } else {
            self.statuses.contains(&status)
        }
    }

    /// Checks the policy at `path`.
    pub fn check(path: &str, policy: Option<&Policy>) -> Result<Self, FieldError> {
        let Some(policy) = policy else {
            return Ok(Self::default());
        };
        let mut success = Self::default();
        for status in policy.status.iter().flat_map(|policy| &policy.allow) {
            let status = u16::try_from(*status)
                .ok()
                .filter(|status| (100..600).contains(status));
            let wrong = || FieldError::new(format!("{path}.status.allow"), "not an HTTP status");
            success.statuses.push(status.ok_or_else(wrong)?);
        }
        if let Some(k8s) = policy.k8s.as_ref().filter(|k8s| !k8s.labels.is_empty()) {
            let looks = match &k8s.backoff {
                None => Retry {
                    steps: 5,
                    ..Retry::default()
                },
                Some(backoff) => Retry::check(&format!("{path}.k8s.backoff"), backoff)?,
            };
            success.labels = Some(LabelPolicy {
                labels: k8s.labels.clone(),
                looks,
                required: k8s.error_on_backoff_timeout,
            });
        }
        Ok(success)
    }
}
