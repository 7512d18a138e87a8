//! Objects that another process acts for, because they have a pod of their own or this is one.

use reconcile_core::object::{Kind, Root};

use super::{
    ControllerContext, ObjectState,
    conditions::dedicated_pod,
    dedicated::{Dedicated, Elsewhere, PodWish, is_heeded},
    object_state::PodReport,
};

impl ControllerContext {
    /// Who acts for an object when this process does not. `state` loses the findings about fields that its pod heeds, and
    /// gets what is said of that pod.
    pub(super) fn elsewhere<K: Kind>(
        &self,
        root: &Root<K>,
        state: &mut ObjectState,
    ) -> Option<Elsewhere> {
        if !matches!(self.dedicated, Dedicated::Off) && PodWish::of(root).is_some() {
            state.findings.retain(|finding| !is_heeded(finding));
        }
        let elsewhere = self.dedicated.elsewhere(root);
        state.pod = match (&self.dedicated, &elsewhere) {
            (Dedicated::Only, _) => PodReport::Theirs,
            (_, Some(Elsewhere::Pod)) => PodReport::Condition(dedicated_pod(None)),
            (_, Some(Elsewhere::PodMissing(why))) => PodReport::Condition(dedicated_pod(Some(why))),
            _ => PodReport::None,
        };
        elsewhere
    }
}
