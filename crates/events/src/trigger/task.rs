//! An action as a Sensor holds it.

use std::sync::Arc;

use serde_json::Value;

use super::{Action, SuccessPolicy};
use crate::api::trigger::Parameter;

/// An action before its parameters are applied.
#[derive(Clone, Debug)]
pub struct Task {
    /// The template as JSON, which parameters may patch.
    pub template: Value,
    /// Patches of the template.
    pub parameters: Vec<Parameter>,
    /// The template decoded; what is done when nothing patches it.
    pub action: Arc<dyn Action>,
    /// When the action counts as successful.
    pub success: SuccessPolicy,
}

impl PartialEq for Task {
    fn eq(&self, other: &Self) -> bool {
        // The action is made of the template.
        self.template == other.template
            && self.parameters == other.parameters
            && self.success == other.success
    }
}
