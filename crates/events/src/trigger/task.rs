//! An action as a Sensor holds it.

use std::sync::Arc;

use serde_json::Value;

use super::{Action, SuccessPolicy};
use crate::api::trigger::Parameter;

/// An action before its parameters are applied.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The template as JSON, which parameters may patch.
    pub template: Value,
    /// Patches of the template.
    pub parameters: Vec<Parameter>,
    /// The template decoded, when nothing patches it.
    pub fixed: Option<Arc<Action>>,
    /// When the action counts as successful.
    pub success: SuccessPolicy,
}
