//! The poll of versions: only of repositories whose followers can move.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{ChartHub, catalog::Catalog};
use crate::repo::{
    RepositoryKind, host_and_path,
    listing::{UNFOLLOWED, later},
};

/// The loop looks for repositories whose poll is due this often.
const LOOK: Duration = Duration::from_secs(1);

impl ChartHub {
    /// Polls for ever. Ends only when the future is dropped.
    pub async fn poll(&self) {
        loop {
            let now = self.0.repos.clock().now();
            self.0.catalogs.lock().retain(|_, catalog| {
                !catalog.followers.lock().is_empty()
                    || now.duration_since(*catalog.used.lock()) < UNFOLLOWED
            });
            let due: Vec<Arc<Catalog>> = {
                let catalogs = self.0.catalogs.lock();
                let due = catalogs.values().filter(|one| *one.due.lock() <= now);
                due.cloned().collect()
            };
            for catalog in due {
                *catalog.due.lock() = later(now, self.0.repos.interval());
                if catalog.needs_polls() || catalog.is_failing() {
                    self.start(catalog);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes the polls of these repositories of registries due; gives how many are followed.
    pub fn poll_now(&self, urls: &[String]) -> usize {
        let pushed: Vec<String> = urls.iter().map(|url| host_and_path(url)).collect();
        let mut found = 0;
        for catalog in self.0.catalogs.lock().values() {
            let is_pushed = |at: String| pushed.contains(&host_and_path(&at));
            if catalog.place.kind == RepositoryKind::Oci
                && is_pushed(catalog.place.oci_repository())
            {
                *catalog.due.lock() = Timestamp::MIN;
                found += 1;
            }
        }
        found
    }

    /// Starts the poll of one repository beside the others, because one slow server must not hold them up.
    fn start(&self, catalog: Arc<Catalog>) {
        let hub = self.clone();
        tokio::spawn(async move {
            if catalog.place.is_artifact() {
                for app in hub.moved_artifacts(&catalog).await {
                    (hub.0.moved)(app);
                }
                return;
            }
            let was_failing = catalog.is_failing();
            let now = hub.0.repos.clock().now();
            // A failure is kept with the repository and shows with the applications.
            drop(hub.list(&catalog, Some(now)).await);
            if was_failing && !catalog.is_failing() {
                let followers: Vec<_> = catalog.followers.lock().keys().cloned().collect();
                for app in followers {
                    (hub.0.moved)(app);
                }
            }
        });
    }
}
