//! `destinations` of a project: to which clusters and namespaces its applications may go.

use super::{Project, fits, hits};
use crate::{api::ProjectDestination, clusters::Destination};

impl Project {
    /// True when objects may go to this namespace of the cluster.
    pub fn permits_destination(&self, cluster: &Destination, namespace: &str) -> bool {
        let mut allowed = false;
        for item in &self.spec.destinations {
            let rule = DestinationRule::of(item, cluster);
            let denies = match item.namespace.strip_prefix('!') {
                Some(pattern) => rule.hit && hits(pattern, namespace),
                None => match rule.denial {
                    Denial::None => false,
                    Denial::Server => hits(&item.namespace, namespace),
                    Denial::Name => true,
                },
            };
            if denies {
                return false;
            }
            allowed |= rule.allowed && fits(&item.namespace, namespace);
        }
        allowed && self.permits_membership(cluster)
    }

    /// True when objects of cluster scope may go to the cluster: some namespace of it is permitted.
    pub(super) fn permits_cluster(&self, cluster: &Destination) -> bool {
        let mut allowed = false;
        for item in &self.spec.destinations {
            let rule = DestinationRule::of(item, cluster);
            let denied = match rule.denial {
                Denial::None => false,
                Denial::Server => item.namespace == "*",
                Denial::Name => true,
            };
            if denied {
                return false;
            }
            allowed |= rule.allowed;
        }
        allowed && self.permits_membership(cluster)
    }

    /// `permitOnlyProjectScopedClusters`: the cluster must belong to this project.
    fn permits_membership(&self, cluster: &Destination) -> bool {
        !self.spec.permit_only_project_scoped_clusters || *cluster.project == *self.name
    }
}

/// What a `!` pattern denies.
#[derive(Clone, Copy)]
enum Denial {
    /// None covers the cluster.
    None,
    /// That of the server does: the namespaces of the item are denied.
    Server,
    /// That of the name does: every namespace is denied.
    Name,
}

/// What an item of `destinations` says about a cluster.
struct DestinationRule {
    /// It allows its namespaces there.
    allowed: bool,
    /// What it denies there.
    denial: Denial,
    /// Its server or name may cover the cluster; decides about a `!` namespace.
    hit: bool,
}

impl DestinationRule {
    fn of(item: &ProjectDestination, cluster: &Destination) -> Self {
        let pairs = [
            (&item.server, &*cluster.server),
            (&item.name, &*cluster.name),
        ];
        let of = |rule: fn(&str, &str) -> bool| {
            let mut given = pairs.iter();
            given.any(|(pattern, text)| !pattern.is_empty() && rule(pattern, text))
        };
        let denial = |pattern: &str, text: &str| {
            let pattern = pattern.strip_prefix('!');
            pattern.is_some_and(|pattern| hits(pattern, text))
        };
        let is_denial = |pattern: &str| pattern.starts_with('!');
        let is_namespace_denial = is_denial(&item.namespace);
        Self {
            allowed: !is_denial(&item.server)
                && !is_denial(&item.name)
                && !is_namespace_denial
                && of(fits),
            denial: if denial(&item.name, &cluster.name) {
                Denial::Name
            } else if denial(&item.server, &cluster.server) {
                Denial::Server
            } else {
                Denial::None
            },
            hit: of(hits),
        }
    }
}
