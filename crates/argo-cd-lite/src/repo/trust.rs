//! Which servers are who they say: certificates by server name, and host keys.

use std::{collections::BTreeMap, sync::Arc};

use git_fetch::Names;
use parking_lot::RwLock;

/// What errors of Git call the things that a user can change.
pub(super) const NAMES: Names = Names {
    ssh_key: "the key sshPrivateKey of the repository Secret",
    add_ssh_key: "add sshPrivateKey to a repository Secret",
    known_hosts: "the ConfigMap argocd-ssh-known-hosts-cm",
    authority: "the ConfigMap argocd-tls-certs-cm",
    client_certificate: "tlsClientCertData and tlsClientCertKey of the repository Secret",
    proxy: "proxy of the repository Secret",
};

/// What `argocd-tls-certs-cm` and `argocd-ssh-known-hosts-cm` hold. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct Trust(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    certificates: BTreeMap<String, String>,
    hosts: Option<Arc<str>>,
}

impl Trust {
    /// Takes the ConfigMap with PEM certificates by server name.
    pub fn set_certificates(&self, certificates: BTreeMap<String, String>) {
        self.0.write().certificates = certificates;
    }

    /// Takes the list of known hosts, in the format of OpenSSH.
    pub fn set_known_hosts(&self, hosts: Option<&str>) {
        self.0.write().hosts = hosts.map(Arc::from);
    }

    /// The certificates that a server's own must come from; `None` leaves the choice to the system.
    pub(super) fn certificates(&self, server: &str) -> Option<String> {
        let known = self.0.read();
        known
            .certificates
            .get(server)
            .filter(|pem| !pem.trim().is_empty())
            .cloned()
    }

    /// The known hosts; without any, no server is reached over ssh.
    pub(super) fn known_hosts(&self) -> Option<Arc<str>> {
        self.0.read().hosts.clone()
    }
}
