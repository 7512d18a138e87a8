//! Experiments are not served yet; each one is told so.

use reconcile_core::{
    conditions::Times,
    object::Kind,
    operator::Operator,
    unserved::{self, Unserved},
    watch::WatchConfig,
};
use serde_json::Value;

/// Marker of the kind `Experiment`.
#[derive(Clone, Copy, Debug)]
pub struct Experiment;

impl Kind for Experiment {
    const KIND: &'static str = "Experiment";
    const PLURAL: &'static str = "experiments";
    type Scope = kube::core::NamespaceResourceScope;
    type Spec = Value;
    type Status = Value;
}

impl Unserved for Experiment {
    const CONDITION: &'static str = "InvalidExperimentSpec";
    const TIMES: Times = Times::TransitionAndUpdate;
    const MESSAGE: &'static str =
        "Experiments are not supported yet: no pods and no analyses are started for this one";
}

/// Starts to tell the Experiments that `labels` selects, in one namespace or everywhere.
pub fn start(operator: &Operator, namespace: Option<&str>, labels: String) {
    let config = WatchConfig {
        labels: Some(labels),
        fields: None,
    };
    unserved::tell::<Experiment>(operator, namespace, config);
}
