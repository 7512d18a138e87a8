//! `ApplicationSet`s are not supported yet; each one gets a condition that says so, unless another controller serves it.

use reconcile_core::{
    conditions::Times,
    operator::Operator,
    reconcile::Target,
    unserved::{self, Unserved},
    watch::WatchConfig,
};

struct ApplicationSet;

impl Unserved for ApplicationSet {
    const GROUP: &'static str = "argoproj.io";
    const VERSION: &'static str = "v1alpha1";
    const KIND: &'static str = "ApplicationSet";
    const PLURAL: &'static str = "applicationsets";
    const CONDITION: &'static str = "ErrorOccurred";
    const TIMES: Times = Times::Transition;
    const STATUS: Target = Target::Status;
    const MESSAGE: &'static str = "ApplicationSets are not supported yet: no Applications are made from this one; \
         argocd-applicationset-controller can run beside this program and serve it";
}

/// Starts to mark the `ApplicationSet`s of the control plane's namespace.
pub fn start(operator: &Operator, control_plane: &str) {
    unserved::start::<ApplicationSet>(operator, Some(control_plane), WatchConfig::default());
}
