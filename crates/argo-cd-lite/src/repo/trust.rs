//! Which servers are who they say: certificates by server name, and host keys.

use std::{collections::BTreeMap, sync::Arc};

use parking_lot::RwLock;

/// What `argocd-tls-certs-cm` holds. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Trust(Arc<RwLock<BTreeMap<String, String>>>);

impl Trust {
    /// Takes the ConfigMap: PEM certificates by server name.
    pub fn set_certificates(&self, certificates: BTreeMap<String, String>) {
        *self.0.write() = certificates;
    }

    /// The certificates that a server's own must come from; `None` leaves the choice to the system.
    pub(super) fn certificates(&self, server: &str) -> Option<String> {
        let known = self.0.read();
        known
            .get(server)
            .filter(|pem| !pem.trim().is_empty())
            .cloned()
    }
}
