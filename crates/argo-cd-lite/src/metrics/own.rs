//! The Applications that series of this process are about.

use prometheus::{Registry, core::Collector};
use reconcile_core::{
    object::{ObjectKey, Root},
    shards::Authority,
    watch::Index,
};

use super::{AppDetails, AppInfo};
use crate::{
    api::Application,
    clusters::{ClusterMetrics, Clusters},
};

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
    /// Registers what is read at each scrape: of these Applications, with their labels that are shown, and of clusters.
    pub fn register(
        &self,
        registry: &Registry,
        clusters: &Clusters,
        labels: &[String],
    ) -> Result<(), prometheus::Error> {
        let collectors: [Box<dyn Collector>; 3] = [
            Box::new(AppDetails::new(self.clone(), labels)?),
            Box::new(AppInfo::new(self.clone(), clusters.clone())?),
            Box::new(ClusterMetrics::new(clusters.clone())?),
        ];
        for collector in collectors {
            registry.register(collector)?;
        }
        Ok(())
    }

    pub(super) fn each(&self, mut look: impl FnMut(&ObjectKey, &Root<Application>)) {
        self.roots.each(|key, root| {
            if self.authority.claim_of(key).is_some() {
                look(key, root);
            }
        });
    }
}
