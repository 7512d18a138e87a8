//! The tree of an Application: its objects, and down to the pods what they own.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use kube::api::{ApiResource, DynamicObject};
use serde_json::{Value, json};

use super::{hosts::Hosted, node::node, owned::OwnedObject};
use crate::{clusters::ResourceId, health::Checks};

/// An object that Git describes, or that carries the mark of the Application.
pub(super) struct RootObject {
    /// What identifies it.
    pub(super) id: ResourceId,
    /// API version without the group.
    pub(super) version: Arc<str>,
    /// The live object; `None` when it is missing.
    pub(super) object: Option<DynamicObject>,
}

/// The nodes, each once.
pub(super) struct Tree {
    nodes: Vec<Value>,
    orphaned: Vec<Value>,
    /// What its pods ask for of the nodes that they run on.
    pub(super) hosted: Hosted,
}

impl Tree {
    /// Joins the objects with what they own. Orphaned objects are no part of the tree, but are shown with it.
    pub(super) fn new(
        roots: Vec<RootObject>,
        orphans: Vec<RootObject>,
        owned: Vec<OwnedObject>,
        checks: &Checks,
    ) -> Self {
        let mut growth = Growth {
            below: Below::of(owned),
            seen: HashSet::new(),
            checks,
        };
        // An object that is owned and at the top is in the tree once.
        let uids = roots.iter().filter_map(|root| root.object.as_ref());
        let seen = uids.filter_map(|object| object.metadata.uid.clone());
        growth.seen.extend(seen);
        let mut hosted = Hosted::default();
        let nodes = growth.nodes(roots, |pod| hosted.add(pod));
        Self {
            nodes,
            orphaned: growth.nodes(orphans, |_| {}),
            hosted,
        }
    }

    /// As the cache has it.
    pub(super) fn to_value(&self, hosts: &[Value]) -> Value {
        let mut tree = json!({"nodes": self.nodes, "shardsCount": 1});
        for (name, rows) in [("orphanedNodes", &self.orphaned[..]), ("hosts", hosts)] {
            if !rows.is_empty() {
                tree[name] = rows.into();
            }
        }
        tree
    }
}

/// A tree that grows from its roots down.
struct Growth<'c> {
    below: Below,
    seen: HashSet<String>,
    checks: &'c Checks,
}

impl Growth<'_> {
    fn nodes(
        &mut self,
        roots: Vec<RootObject>,
        mut on_pod: impl FnMut(&DynamicObject),
    ) -> Vec<Value> {
        let mut nodes = Vec::new();
        let mut open = Vec::new();
        let mut add = |resource: &ApiResource, object: &DynamicObject, parents: &[Value]| {
            if resource.group.is_empty() && resource.kind == "Pod" {
                on_pod(object);
            }
            node(resource, object, parents, self.checks)
        };
        for root in roots {
            let Some(object) = root.object else {
                nodes.push(missing(&root.id, &root.version));
                continue;
            };
            let resource = ApiResource {
                group: root.id.kind.group.to_string(),
                version: root.version.to_string(),
                api_version: String::new(),
                kind: root.id.kind.kind.to_string(),
                plural: String::new(),
            };
            nodes.push(add(&resource, &object, &[]));
            open.push(Parent::of(&resource, &object));
        }
        while let Some(parent) = open.pop() {
            for OwnedObject { resource, object } in self.below.take(&parent) {
                let uid = object.metadata.uid.clone().unwrap_or_default();
                if !self.seen.insert(uid) {
                    continue;
                }
                nodes.push(add(&resource, &object, &[parent.reference()]));
                open.push(Parent::of(&resource, &object));
            }
        }
        nodes
    }
}

fn missing(id: &ResourceId, version: &str) -> Value {
    let mut node = json!({"kind": *id.kind.kind, "name": *id.name, "version": version, "health": {"status": "Missing"}});
    for (field, text) in [("group", &id.kind.group), ("namespace", &id.namespace)] {
        if !text.is_empty() {
            node[field] = (**text).into();
        }
    }
    node
}

/// An object whose children are looked for.
struct Parent {
    group: String,
    kind: String,
    namespace: String,
    name: String,
    uid: String,
}

impl Parent {
    fn of(resource: &ApiResource, object: &DynamicObject) -> Self {
        let metadata = &object.metadata;
        Self {
            group: resource.group.clone(),
            kind: resource.kind.clone(),
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
        }
    }

    fn reference(&self) -> Value {
        let mut reference = json!({"kind": self.kind, "name": self.name, "uid": self.uid});
        for (field, text) in [("group", &self.group), ("namespace", &self.namespace)] {
            if !text.is_empty() {
                reference[field] = text.as_str().into();
            }
        }
        reference
    }
}

/// Objects by what they belong to.
struct Below {
    by_owner: HashMap<String, Vec<OwnedObject>>,
    /// Those without owner that belong to another object by their name.
    by_name: Vec<OwnedObject>,
}

impl Below {
    fn of(owned: Vec<OwnedObject>) -> Self {
        let mut below = Self {
            by_owner: HashMap::new(),
            by_name: Vec::new(),
        };
        for owned in owned {
            let owners = owned.object.metadata.owner_references.iter().flatten();
            // The controller, when there are several owners.
            let owner = owners.max_by_key(|owner| owner.controller == Some(true));
            match owner.map(|owner| owner.uid.clone()) {
                Some(uid) => below.by_owner.entry(uid).or_default().push(owned),
                None => below.by_name.push(owned),
            }
        }
        below
    }

    fn take(&mut self, parent: &Parent) -> Vec<OwnedObject> {
        let mut found = self.by_owner.remove(&parent.uid).unwrap_or_default();
        if matches!(parent.kind.as_str(), "Service" | "StatefulSet") {
            let named = |owned: &OwnedObject| belongs_by_name(owned, parent);
            let (taken, rest) = std::mem::take(&mut self.by_name)
                .into_iter()
                .partition(named);
            self.by_name = rest;
            let taken: Vec<OwnedObject> = taken;
            found.extend(taken);
        }
        found
    }
}

/// The Endpoints of a Service, and the claims of a `StatefulSet`, name no owner.
fn belongs_by_name(owned: &OwnedObject, parent: &Parent) -> bool {
    let metadata = &owned.object.metadata;
    let name = metadata.name.as_deref().unwrap_or_default();
    if metadata.namespace.as_deref().unwrap_or_default() != parent.namespace {
        return false;
    }
    match (owned.resource.kind.as_str(), parent.kind.as_str()) {
        ("Endpoints", "Service") => parent.group.is_empty() && name == parent.name,
        ("PersistentVolumeClaim", "StatefulSet") => {
            let claim = name.rsplit_once('-');
            claim.is_some_and(|(claim, ordinal)| {
                ordinal.bytes().all(|byte| byte.is_ascii_digit())
                    && claim
                        .strip_suffix(&parent.name)
                        .is_some_and(|template| template.len() > 1 && template.ends_with('-'))
            })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).expect("an object")
    }

    fn owned(kind: &str, value: Value) -> OwnedObject {
        let gvk = kube::core::GroupVersionKind::gvk("", "v1", kind);
        OwnedObject {
            resource: ApiResource::from_gvk(&gvk),
            object: object(value),
        }
    }

    fn names(tree: &Tree) -> Vec<String> {
        let value = tree.to_value(&[]);
        let nodes = value["nodes"].as_array().expect("nodes").iter();
        let names = nodes.map(|node| {
            let parent = node.pointer("/parentRefs/0/name").and_then(Value::as_str);
            format!(
                "{}<{}",
                node["name"].as_str().unwrap_or_default(),
                parent.unwrap_or_default()
            )
        });
        names.collect()
    }

    fn root(kind: &str, name: &str, uid: &str) -> RootObject {
        RootObject {
            id: ResourceId::new("apps", kind, "ns", name),
            version: "v1".into(),
            object: Some(object(
                json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": "ns", "uid": uid}}),
            )),
        }
    }

    fn child(kind: &str, name: &str, owner: &str) -> OwnedObject {
        owned(
            kind,
            json!({"apiVersion": "v1", "kind": kind, "metadata": {
                "name": name, "namespace": "ns", "uid": name,
                "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": owner, "controller": true}],
            }}),
        )
    }

    #[test]
    fn owners_are_followed_down_and_others_left_out() {
        let missing = RootObject {
            id: ResourceId::new("", "ConfigMap", "ns", "gone"),
            version: "v1".into(),
            object: None,
        };
        let roots = vec![root("Deployment", "web", "d"), missing];
        let below = vec![
            child("Pod", "pod", "rs"),
            child("ReplicaSet", "rs", "d"),
            child("Pod", "foreign", "other"),
        ];
        let tree = Tree::new(roots, Vec::new(), below, &Checks::default());
        assert_eq!(names(&tree), ["web<", "gone<", "rs<web", "pod<rs"]);
        let value = tree.to_value(&[]);
        assert_eq!(value["nodes"][1]["health"]["status"], "Missing");
        assert_eq!(
            (value.get("orphanedNodes"), value.get("hosts")),
            (None, None)
        );
    }

    #[test]
    fn orphans_stand_beside_the_tree_with_what_they_own() {
        let roots = vec![root("Deployment", "web", "d")];
        let orphans = vec![root("Deployment", "left", "l")];
        let below = vec![
            child("ReplicaSet", "rs", "d"),
            child("ReplicaSet", "old", "l"),
        ];
        let tree = Tree::new(roots, orphans, below, &Checks::default());
        assert_eq!(names(&tree), ["web<", "rs<web"]);
        let value = tree.to_value(&[json!({"name": "n"})]);
        let orphaned = value["orphanedNodes"].as_array().expect("orphans");
        let orphaned: Vec<&Value> = orphaned.iter().map(|node| &node["name"]).collect();
        assert_eq!(orphaned, ["left", "old"]);
        assert_eq!(value["hosts"][0]["name"], "n");
    }

    #[test]
    fn owners_in_a_circle_end() {
        let roots = vec![root("Deployment", "web", "d")];
        let below = vec![child("A", "a", "d"), child("A", "d", "a")];
        let tree = Tree::new(roots, Vec::new(), below, &Checks::default());
        assert_eq!(names(&tree), ["web<", "a<web"]);
    }

    #[test]
    fn claims_belong_to_a_set_by_name() {
        let roots = vec![root("StatefulSet", "db", "s")];
        let claim = |name: &str| {
            owned(
                "PersistentVolumeClaim",
                json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name, "namespace": "ns", "uid": name}}),
            )
        };
        let below = vec![
            claim("data-db-0"),
            claim("data-otherdb-0"),
            claim("db-0"),
            claim("data-db-x"),
        ];
        let tree = Tree::new(roots, Vec::new(), below, &Checks::default());
        assert_eq!(names(&tree), ["db<", "data-db-0<db"]);
    }
}
