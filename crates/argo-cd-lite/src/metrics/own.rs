//! The Applications that series of this process are about.

use reconcile_core::{
    object::{ObjectKey, Root},
    shards::Authority,
    watch::Index,
};

use crate::api::Application;

/// The Applications that this process acts for: of several processes each shows its own, so that sums over all of them
/// count an Application once.
#[derive(Clone)]
pub struct OwnApplications {
    /// All Applications.
    pub roots: Index<Root<Application>>,
    /// For which this process acts.
    pub authority: Authority,
}

impl OwnApplications {
    pub(super) fn each(&self, mut look: impl FnMut(&ObjectKey, &Root<Application>)) {
        self.roots.each(|key, root| {
            if self.authority.claim_of(key).is_some() {
                look(key, root);
            }
        });
    }
}
