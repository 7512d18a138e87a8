//! What an AppProject allows; pure functions of its spec.

mod destinations;
mod integrity;
mod orphans;
mod service_accounts;
mod windows;

pub use integrity::IntegrityError;
pub use service_accounts::{ServiceAccountError, SyncTarget, service_account};
pub use windows::{
    SyncAttempt, WindowError, WindowSubject, WindowVerdict, check as check_windows,
    verdict as window_verdict,
};

use expressions::glob;

use crate::{
    api::{AppProjectSpec, ClusterResourceItem, GroupKindItem, ProjectDestination},
    clusters::{Destination, ResourceId},
    repo::{rule_pattern, rule_spellings},
};

/// Name of the project that always exists.
pub const DEFAULT_PROJECT: &str = "default";

/// The spec of the project `default` as it is created when it is missing: everything is allowed.
pub fn default_spec() -> AppProjectSpec {
    AppProjectSpec {
        source_repos: vec!["*".to_owned()],
        destinations: vec![ProjectDestination {
            server: "*".to_owned(),
            namespace: "*".to_owned(),
            ..ProjectDestination::default()
        }],
        cluster_resource_whitelist: vec![ClusterResourceItem {
            group: "*".to_owned(),
            kind: "*".to_owned(),
            name: String::new(),
        }],
        ..AppProjectSpec::default()
    }
}

/// The limits of one project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Name.
    pub name: String,
    /// Limits.
    pub spec: AppProjectSpec,
}

impl Project {
    /// True when applications may take manifests from this repository. A `!` pattern that fits refuses, whatever the case of
    /// letters and whether the scheme is http or https: a server may not tell these apart.
    pub fn permits_repository(&self, url: &str) -> bool {
        let Some(spellings) = rule_spellings(url) else {
            return false;
        };
        let mut allowed = false;
        for pattern in &self.spec.source_repos {
            if let Some(denied) = pattern.strip_prefix('!') {
                let denied = rule_pattern(denied).to_lowercase();
                let hits = |url: &str| glob::answer(&denied, url, &['/']).denies();
                if spellings
                    .iter()
                    .any(|url| either_scheme(url).any(|url| hits(&url)))
                {
                    return false;
                }
            } else if pattern == "*" {
                allowed = true;
            } else {
                let pattern = rule_pattern(pattern);
                allowed |= spellings
                    .iter()
                    .any(|url| glob::answer(&pattern, url, &['/']).allows());
            }
        }
        allowed
    }

    /// True when applications may manage this object. One without a namespace is cluster-scoped.
    pub fn permits_object(&self, cluster: &Destination, id: &ResourceId) -> bool {
        if !id.namespace.is_empty() {
            let listed = |list: &[GroupKindItem], covers: fn(&str, &str) -> bool| {
                list.iter().any(|item| {
                    covers(&item.group, &id.kind.group) && covers(&item.kind, &id.kind.kind)
                })
            };
            if listed(&self.spec.namespace_resource_blacklist, hits) {
                return false;
            }
            // An absent list allows all; an empty one allows none.
            return self
                .spec
                .namespace_resource_whitelist
                .as_deref()
                .is_none_or(|list| listed(list, fits))
                && self.permits_destination(cluster, &id.namespace);
        }
        let listed = |list: &[ClusterResourceItem], covers: fn(&str, &str) -> bool| {
            list.iter().any(|item| {
                covers(&item.group, &id.kind.group)
                    && covers(&item.kind, &id.kind.kind)
                    && (item.name.is_empty() || covers(&item.name, &id.name))
            })
        };
        self.permits_cluster(cluster)
            && !listed(&self.spec.cluster_resource_blacklist, hits)
            && listed(&self.spec.cluster_resource_whitelist, fits)
    }

    /// True when Applications of `namespace` may name this project.
    pub fn permits_namespace(&self, namespace: &str, control_plane: &str) -> bool {
        namespace == control_plane
            || self
                .spec
                .source_namespaces
                .iter()
                .any(|pattern| fits(pattern, namespace))
    }
}

/// The URL in lower case, as one of http and as one of https.
fn either_scheme(url: &str) -> impl Iterator<Item = String> + use<> {
    let url = url.to_lowercase();
    let other = match url.split_once("://") {
        Some(("http", rest)) => Some(format!("https://{rest}")),
        Some(("https", rest)) => Some(format!("http://{rest}")),
        _ => None,
    };
    std::iter::once(url).chain(other)
}

/// Whether an allow rule covers the text.
fn fits(pattern: &str, text: &str) -> bool {
    pattern == "*" || glob::answer(pattern, text, &[]).allows()
}

/// Whether a deny rule covers the text. It does where its pattern cannot be evaluated.
fn hits(pattern: &str, text: &str) -> bool {
    pattern == "*" || glob::answer(pattern, text, &[]).denies()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(spec: AppProjectSpec) -> Project {
        Project {
            name: "p".into(),
            spec,
        }
    }

    fn cluster() -> Destination {
        Destination {
            server: "https://prod.example.com".into(),
            name: "prod-eu".into(),
            project: "".into(),
        }
    }

    #[test]
    fn the_default_project_allows_everything() {
        let project = project(default_spec());
        assert!(project.permits_repository("https://git/a"));
        assert!(project.permits_object(&cluster(), &ResourceId::new("", "ConfigMap", "x", "y")));
        assert!(project.permits_object(&cluster(), &ResourceId::new("", "Namespace", "", "y")));
        assert!(!project.permits_namespace("other", "argocd"));
    }

    #[test]
    fn a_denied_repository_wins_over_an_allowed_one() {
        let spec = AppProjectSpec {
            source_repos: vec!["*".into(), "!https://git/secret*".into()],
            ..default_spec()
        };
        assert!(project(spec.clone()).permits_repository("https://git/a.git"));
        assert!(!project(spec).permits_repository("https://git/secret.git"));
    }

    #[test]
    fn a_deny_rule_holds_for_every_spelling() {
        for rule in [
            "!https://git/secret",
            "!https://GIT:443/Secret.git/",
            "!https://git/s%65cret",
            "!https://git//secret",
            "!{https://git/secret.git,https://git/other}",
            "!https://git/s[a-f]cret",
        ] {
            let spec = AppProjectSpec {
                source_repos: vec!["*".into(), rule.into()],
                ..default_spec()
            };
            let project = project(spec);
            for url in [
                "https://git/secret",
                "https://git/secret.git",
                "https://git/secret.git/",
                "https://git//secret",
                "https://git/secret//",
                "https://Git./secret",
                "https://git/SECRET",
                "http://git/secret",
                "https://git/%73ecret",
                "https://git/secret%2egit",
                "https://git/%2573ecret",
                "https://git/secret%",
                "https://git/%ff",
                "https://user@git:443/secret",
            ] {
                assert!(!project.permits_repository(url), "{rule} {url}");
            }
            for url in [
                "https://git/secrets",
                "https://git/a%20b",
                "https://git/public.git",
            ] {
                assert!(project.permits_repository(url), "{rule} {url}");
            }
        }
        let spec = AppProjectSpec {
            source_repos: vec!["https://git/%2A".into()],
            ..default_spec()
        };
        let literal = project(spec);
        assert!(!literal.permits_repository("https://git/a"));
    }

    #[test]
    fn a_url_that_climbs_or_is_read_in_two_ways_is_not_permitted() {
        let spec = AppProjectSpec {
            source_repos: vec!["https://git/team/**".into(), "https://git/shop".into()],
            ..default_spec()
        };
        let project = project(spec);
        assert!(project.permits_repository("https://git/team/a/b.git"));
        for url in [
            "https://git/team/../secret",
            // A rule is no prefix.
            "https://git/shopping",
            "https://git/shop/secret",
            "https://git/team/%2e%2E/secret",
            "https://git.evil.org/team/a",
            "https://git:8443/team/a",
            "https://evil.org\\@git/team/a",
            "https://evil.org#@git/team/a",
        ] {
            assert!(!project.permits_repository(url), "{url}");
        }
    }

    #[test]
    fn absent_and_empty_lists_of_kinds_differ() {
        let id = ResourceId::new("", "ConfigMap", "x", "y");
        let mut spec = default_spec();
        assert!(project(spec.clone()).permits_object(&cluster(), &id));
        spec.namespace_resource_whitelist = Some(Vec::new());
        assert!(!project(spec.clone()).permits_object(&cluster(), &id));
        spec.cluster_resource_whitelist.clear();
        assert!(
            !project(spec).permits_object(&cluster(), &ResourceId::new("", "Namespace", "", "y"))
        );
    }

    #[test]
    fn namespaces_are_limited_and_denied() {
        let item = |namespace: &str| ProjectDestination {
            server: "*".into(),
            namespace: namespace.into(),
            ..ProjectDestination::default()
        };
        let spec = AppProjectSpec {
            destinations: vec![item("team-*"), item("!team-x")],
            ..default_spec()
        };
        let to = |spec: &AppProjectSpec, namespace: &str| {
            project(spec.clone()).permits_destination(&cluster(), namespace)
        };
        assert!(to(&spec, "team-a"));
        assert!(!to(&spec, "team-x"));
        assert!(!to(&spec, "kube-system"));
    }

    #[test]
    fn a_deny_rule_that_cannot_be_evaluated_denies() {
        for broken in ["{a".to_owned(), "*a".repeat(15_000)] {
            let spec = AppProjectSpec {
                source_repos: vec!["*".into(), format!("!{broken}")],
                ..default_spec()
            };
            assert!(!project(spec).permits_repository("https://git/a"));
            let spec = AppProjectSpec {
                source_repos: vec![broken.clone()],
                ..default_spec()
            };
            assert!(!project(spec).permits_repository("https://git/a"));
            let spec = AppProjectSpec {
                namespace_resource_blacklist: vec![GroupKindItem {
                    group: String::new(),
                    kind: broken,
                }],
                ..default_spec()
            };
            let id = ResourceId::new("", "ConfigMap", "x", "y");
            assert!(!project(spec).permits_object(&cluster(), &id));
        }
    }

    #[test]
    fn clusters_are_limited_and_denied_by_server_and_by_name() {
        let item = |server: &str, name: &str, namespace: &str| ProjectDestination {
            server: server.into(),
            name: name.into(),
            namespace: namespace.into(),
        };
        let verdicts = |items: &[ProjectDestination]| {
            let spec = AppProjectSpec {
                destinations: items.to_vec(),
                ..default_spec()
            };
            let role = ResourceId::new("rbac.authorization.k8s.io", "ClusterRole", "", "r");
            let project = project(spec);
            (
                project.permits_destination(&cluster(), "shop"),
                project.permits_object(&cluster(), &role),
            )
        };
        let all = || item("*", "", "*");
        assert_eq!(verdicts(&[all()]), (true, true));
        assert_eq!(verdicts(&[item("", "prod-*", "*")]), (true, true));
        assert_eq!(
            verdicts(&[item("https://prod.*", "", "shop")]),
            (true, true)
        );
        assert_eq!(
            verdicts(&[item("https://prod.example.com/", "", "*")]),
            (false, false)
        );
        assert_eq!(
            verdicts(&[item("https://kubernetes.default.svc", "", "*")]),
            (false, false)
        );
        assert_eq!(verdicts(&[item("", "staging", "*")]), (false, false));
        assert_eq!(verdicts(&[item("", "", "*")]), (false, false));
        // A denied name denies in every namespace, a denied server in the namespaces of its item.
        assert_eq!(
            verdicts(&[all(), item("", "!prod-*", "other")]),
            (false, false)
        );
        assert_eq!(
            verdicts(&[all(), item("!https://prod.*", "", "*")]),
            (false, false)
        );
        assert_eq!(
            verdicts(&[all(), item("!https://prod.*", "", "other")]),
            (true, true)
        );
        assert_eq!(
            verdicts(&[all(), item("https://prod.*", "", "!shop")]),
            (false, true)
        );
        assert_eq!(
            verdicts(&[all(), item("", "prod-eu", "!shop")]),
            (false, true)
        );
        assert_eq!(
            verdicts(&[all(), item("", "staging", "!shop")]),
            (true, true)
        );
        // A denial alone permits nothing.
        assert_eq!(verdicts(&[item("!https://other", "", "*")]), (false, false));
    }

    #[test]
    fn a_project_may_be_limited_to_its_own_clusters() {
        let spec = AppProjectSpec {
            permit_only_project_scoped_clusters: true,
            ..default_spec()
        };
        let project = project(spec);
        let mut own = cluster();
        assert!(!project.permits_destination(&own, "shop"));
        own.project = "p".into();
        assert!(project.permits_destination(&own, "shop"));
    }
}
