//! Which objects of a namespace count as orphaned: no Application manages them, and the project does not ignore them.

use super::{Project, fits};
use crate::clusters::{Destination, ResourceId};

/// Objects that every namespace, or every cluster, has by itself: group is the core group.
const BY_KUBERNETES: &[(&str, &str)] = &[
    ("ServiceAccount", "default"),
    ("ConfigMap", "kube-root-ca.crt"),
];

impl Project {
    /// True when the project looks for orphaned objects.
    pub fn tells_orphans(&self) -> bool {
        self.spec.orphaned_resources.is_some()
    }

    /// True when the project warns of orphaned objects.
    pub fn warns_of_orphans(&self) -> bool {
        (self.spec.orphaned_resources.as_ref())
            .is_some_and(|settings| settings.warn.unwrap_or(true))
    }

    /// True for an object without an Application that the project does not ignore.
    pub fn is_orphan(&self, cluster: &Destination, id: &ResourceId) -> bool {
        let core = id.kind.group.is_empty();
        let by_itself = core
            && ((&*id.kind.kind == "Service"
                && &*id.namespace == "default"
                && &*id.name == "kubernetes")
                || BY_KUBERNETES
                    .iter()
                    .any(|(kind, name)| *id.kind.kind == **kind && *id.name == **name));
        let settings = self.spec.orphaned_resources.as_ref();
        let ignored = settings.is_some_and(|settings| {
            settings.ignore.iter().any(|rule| {
                (rule.kind.is_empty() || fits(&rule.kind, &id.kind.kind))
                    && fits(&rule.group, &id.kind.group)
                    && (rule.name.is_empty() || fits(&rule.name, &id.name))
            })
        });
        settings.is_some() && !by_itself && !ignored && self.permits_object(cluster, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{api::AppProjectSpec, project::default_spec};

    fn project(settings: serde_json::Value) -> Project {
        let spec = AppProjectSpec {
            orphaned_resources: serde_json::from_value(settings).expect("settings"),
            ..default_spec()
        };
        Project {
            name: "shop".to_owned(),
            spec,
        }
    }

    #[test]
    fn what_kubernetes_makes_and_what_the_project_ignores_is_no_orphan() {
        let cluster = Destination {
            server: "https://prod.example.com".into(),
            name: "prod".into(),
            project: "".into(),
        };
        let rules = serde_json::json!({"ignore": [
            {"kind": "Secret", "name": "*.example.com"},
            {"group": "apps", "kind": "Deploy*"},
            {"group": "cilium.io"},
        ]});
        let shop = project(rules);
        let orphan = |group: &str, kind: &str, namespace: &str, name: &str| {
            shop.is_orphan(&cluster, &ResourceId::new(group, kind, namespace, name))
        };
        for (group, kind, namespace, name) in [
            ("", "Service", "default", "kubernetes"),
            ("", "ServiceAccount", "shop", "default"),
            ("", "ConfigMap", "shop", "kube-root-ca.crt"),
            ("", "Secret", "shop", "tls.example.com"),
            ("apps", "Deployment", "shop", "web"),
            ("cilium.io", "CiliumEndpoint", "shop", "web"),
        ] {
            assert!(!orphan(group, kind, namespace, name), "{kind} {name}");
        }
        for (group, kind, namespace, name) in [
            ("", "Service", "shop", "kubernetes"),
            ("", "ServiceAccount", "shop", "web"),
            ("", "Secret", "shop", "db"),
            ("apps", "StatefulSet", "shop", "db"),
        ] {
            assert!(orphan(group, kind, namespace, name), "{kind} {name}");
        }
        assert!(shop.warns_of_orphans(), "it warns by default");
        let silent = project(serde_json::json!({"warn": false}));
        assert!(!silent.warns_of_orphans() && silent.tells_orphans());
        let none = project(serde_json::Value::Null);
        assert!(!none.warns_of_orphans() && !none.tells_orphans());
    }
}
