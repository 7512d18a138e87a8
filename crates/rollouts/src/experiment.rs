//! Experiments are not supported yet; each one gets a condition that says so.

use reconcile_core::{
    conditions::Times,
    operator::Operator,
    reconcile::Target,
    unserved::{self, Unserved},
};

use crate::instance;

struct Experiment;

impl Unserved for Experiment {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "Experiment";
    const PLURAL: &'static str = "experiments";
    const CONDITION: &'static str = "InvalidExperimentSpec";
    const TIMES: Times = Times::TransitionAndUpdate;
    const STATUS: Target = Target::Main;
    const MESSAGE: &'static str =
        "Experiments are not supported yet: no pods and no analyses are started for this one";
}

/// Starts to mark the Experiments of an instance, in one namespace or everywhere.
pub fn start(operator: &Operator, namespace: Option<&str>, instance_id: &str) {
    unserved::start::<Experiment>(operator, namespace, instance::objects(instance_id));
}
