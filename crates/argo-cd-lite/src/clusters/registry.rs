//! Which clusters there are: the one of the control plane, and those of Secrets.

use std::{collections::BTreeMap, sync::Arc};

use super::{ClusterSecret, ClusterSpec, Destination, DestinationError, spec::normalize_server};
use crate::api::{ApplicationDestination, IN_CLUSTER_SERVER};

/// All known clusters, by the name of their Secret. Of several Secrets with one server the first counts.
#[derive(Debug)]
pub(super) struct Registry {
    secrets: BTreeMap<String, Arc<ClusterSecret>>,
    control_plane: Arc<ClusterSpec>,
    /// The cluster of the control plane is a destination without a Secret.
    in_cluster: bool,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            secrets: BTreeMap::new(),
            control_plane: Arc::new(ClusterSpec::control_plane()),
            in_cluster: true,
        }
    }
}

impl Registry {
    /// Adds, replaces or removes the cluster of a Secret; gives what was known before.
    pub(super) fn set(
        &mut self,
        name: &str,
        secret: Option<Arc<ClusterSecret>>,
    ) -> Option<Arc<ClusterSecret>> {
        match secret {
            Some(secret) => self.secrets.insert(name.to_owned(), secret),
            None => self.secrets.remove(name),
        }
    }

    /// Whether the cluster of the control plane is a destination without a Secret.
    pub(super) fn set_in_cluster(&mut self, enabled: bool) {
        self.in_cluster = enabled;
    }

    /// The cluster with this URL.
    pub(super) fn by_server(
        &self,
        server: &str,
    ) -> Option<Result<Arc<ClusterSpec>, DestinationError>> {
        let secret = self
            .secrets
            .iter()
            .find(|(_, secret)| *secret.server == *server);
        match secret {
            Some((name, secret)) => Some(usable(name, secret)),
            None if server == IN_CLUSTER_SERVER && self.in_cluster => {
                Some(Ok(self.control_plane.clone()))
            }
            None => None,
        }
    }

    /// All clusters that can be used, one for each server.
    pub(super) fn specs(&self) -> Vec<Arc<ClusterSpec>> {
        let mut specs = BTreeMap::new();
        let servers = self.secrets.values().map(|secret| &*secret.server);
        for server in servers.chain([IN_CLUSTER_SERVER]) {
            if let Some(Ok(spec)) = self.by_server(server) {
                specs.insert(spec.destination.server.clone(), spec);
            }
        }
        specs.into_values().collect()
    }

    /// The cluster that a destination names.
    pub(super) fn resolve(
        &self,
        destination: &ApplicationDestination,
    ) -> Result<Arc<ClusterSpec>, DestinationError> {
        let ApplicationDestination { server, name, .. } = destination;
        match (server.as_str(), name.as_str()) {
            ("", "") => Err(DestinationError::Missing),
            ("", name) => self.by_name(name),
            (server, "") => self
                .by_server(&normalize_server(server))
                .unwrap_or_else(|| {
                    let shown = reconcile_core::credentials::redact_url(server);
                    Err(DestinationError::UnknownServer(shown))
                }),
            (server, name) => Err(DestinationError::NameAndServer {
                name: name.to_owned(),
                server: reconcile_core::credentials::redact_url(server),
            }),
        }
    }

    fn by_name(&self, name: &str) -> Result<Arc<ClusterSpec>, DestinationError> {
        let mut servers: Vec<&str> = self
            .secrets
            .values()
            .filter(|secret| *secret.name == *name)
            .map(|secret| &*secret.server)
            .collect();
        let own_has_secret = || {
            let mut secrets = self.secrets.values();
            secrets.any(|secret| &*secret.server == IN_CLUSTER_SERVER)
        };
        if self.in_cluster && *self.control_plane.destination.name == *name && !own_has_secret() {
            servers.push(IN_CLUSTER_SERVER);
        }
        servers.sort_unstable();
        servers.dedup();
        let unknown = || DestinationError::UnknownName(name.to_owned());
        match servers.as_slice() {
            [] => Err(unknown()),
            [server] => self.by_server(server).unwrap_or_else(|| Err(unknown())),
            several => Err(DestinationError::Ambiguous(
                several.iter().map(ToString::to_string).collect(),
            )),
        }
    }
}

fn usable(name: &str, secret: &ClusterSecret) -> Result<Arc<ClusterSpec>, DestinationError> {
    secret
        .spec
        .clone()
        .map_err(|error| DestinationError::Unusable {
            secret: name.to_owned(),
            reason: error.to_string(),
        })
}

/// True when the destination names the server or the name of the Secret.
pub(super) fn concerns(destination: &ApplicationDestination, secret: &ClusterSecret) -> bool {
    normalize_server(&destination.server) == *secret.server
        || destination.name == *secret.name
        // The name of the control plane's cluster comes and goes with its Secret.
        || (&*secret.server == IN_CLUSTER_SERVER && !destination.name.is_empty())
}

impl From<&ClusterSpec> for Destination {
    fn from(spec: &ClusterSpec) -> Self {
        spec.destination.clone()
    }
}
