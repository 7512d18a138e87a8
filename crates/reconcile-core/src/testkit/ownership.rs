//! Field ownership, light: which manager set which leaf, as sets of paths.
//!
//! Enough to see a conflict, to remove what an applier no longer sends, and to show
//! `managedFields`. Lists are merged only where [`key_of_list`] names their key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

/// A path in the notation of `fieldsV1`: `f:spec`, `f:containers`, `k:{"name":"a"}`.
pub(super) type Path = Vec<String>;

/// Paths by (manager, operation).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Owners(BTreeMap<(String, &'static str), BTreeSet<Path>>);

/// The key that identifies the elements of a list, by the name of the list.
pub(super) fn key_of_list(name: &str, list: &[Value]) -> Option<&'static str> {
    let candidates: &[&'static str] = match name {
        "containers"
        | "initContainers"
        | "ephemeralContainers"
        | "env"
        | "volumes"
        | "imagePullSecrets" => &["name"],
        "volumeMounts" => &["mountPath"],
        "volumeDevices" => &["devicePath"],
        "ports" => &["containerPort", "port"],
        "conditions" => &["type"],
        "ownerReferences" => &["uid"],
        "hostAliases" => &["ip"],
        "topologySpreadConstraints" => &["topologyKey"],
        _ => &[],
    };
    candidates
        .iter()
        .copied()
        .find(|key| !list.is_empty() && list.iter().all(|item| item.get(*key).is_some()))
}

/// All leaves of an object with their values; atomic lists are leaves.
pub(super) fn leaves(object: &Value) -> BTreeMap<Path, Value> {
    let mut found = BTreeMap::new();
    collect(object, "", &mut Vec::new(), &mut found);
    // Identity and what the server fills in belongs to nobody.
    found.retain(|path, _| {
        let first = path.first().map(String::as_str);
        let second = path.get(1).map(String::as_str);
        let served = [
            "f:name",
            "f:namespace",
            "f:uid",
            "f:resourceVersion",
            "f:generation",
        ];
        let more = [
            "f:creationTimestamp",
            "f:managedFields",
            "f:deletionTimestamp",
        ];
        let identity = second.is_some_and(|name| served.contains(&name) || more.contains(&name));
        let typed = matches!(first, Some("f:apiVersion" | "f:kind"));
        !typed && (first != Some("f:metadata") || !identity)
    });
    found
}

fn collect(value: &Value, name: &str, path: &mut Path, out: &mut BTreeMap<Path, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, child) in map {
                path.push(format!("f:{key}"));
                collect(child, key, path, out);
                path.pop();
            }
        }
        Value::Array(list) if key_of_list(name, list).is_some() => {
            let key = key_of_list(name, list).unwrap_or_default();
            for item in list {
                path.push(format!("k:{}", json!({key: item[key]})));
                collect(item, "", path, out);
                path.pop();
            }
        }
        leaf => drop(out.insert(path.clone(), leaf.clone())),
    }
}

/// Two managers want different values for one field.
pub(super) struct Conflict {
    pub(super) manager: String,
    pub(super) field: String,
}

impl Owners {
    /// Other managers that own leaves of `wanted` with another value in `live`.
    pub(super) fn conflicts(&self, manager: &str, live: &Value, wanted: &Value) -> Vec<Conflict> {
        let live = leaves(live);
        let mut found = Vec::new();
        for (path, value) in leaves(wanted) {
            if live.get(&path).is_none_or(|current| *current == value) {
                continue;
            }
            for ((owner, operation), paths) in &self.0 {
                if (owner.as_str(), *operation) != (manager, "Apply") && paths.contains(&path) {
                    found.push(Conflict {
                        manager: owner.clone(),
                        field: dotted(&path),
                    });
                }
            }
        }
        found
    }

    /// Paths that `manager` applied earlier, no longer sends, and that no other manager owns.
    pub(super) fn abandoned(&self, manager: &str, wanted: &Value) -> Vec<Path> {
        let wanted = leaves(wanted);
        let mine = (manager.to_owned(), "Apply");
        let Some(before) = self.0.get(&mine) else {
            return Vec::new();
        };
        let others = |path: &Path| {
            self.0
                .iter()
                .any(|(who, set)| *who != mine && set.contains(path))
        };
        before
            .iter()
            .filter(|path| !wanted.contains_key(*path) && !others(path))
            .cloned()
            .collect()
    }

    /// `manager` applied exactly `wanted`.
    pub(super) fn applied(&mut self, manager: &str, before: &Value, wanted: &Value) {
        let old = leaves(before);
        let new = leaves(wanted);
        // What was forced over to another value is taken from its former owners.
        for (path, value) in &new {
            if old.get(path).is_some_and(|current| current != value) {
                for set in self.0.values_mut() {
                    set.remove(path);
                }
            }
        }
        self.0
            .insert((manager.to_owned(), "Apply"), new.into_keys().collect());
        self.0.retain(|_, set| !set.is_empty());
    }

    /// `manager` changed the object by any other write: it owns the leaves that differ.
    pub(super) fn updated(&mut self, manager: &str, before: &Value, after: &Value) {
        let old = leaves(before);
        let new = leaves(after);
        let changed: BTreeSet<Path> = new
            .iter()
            .filter(|(path, value)| old.get(*path) != Some(value))
            .map(|(p, _)| p.clone())
            .collect();
        for set in self.0.values_mut() {
            set.retain(|path| new.contains_key(path) && !changed.contains(path));
        }
        if !changed.is_empty() {
            self.0
                .entry((manager.to_owned(), "Update"))
                .or_default()
                .extend(changed);
        }
        self.0.retain(|_, set| !set.is_empty());
    }

    /// As `metadata.managedFields`.
    pub(super) fn managed_fields(&self, api_version: &str) -> Value {
        let entry = |((manager, operation), paths): (&(String, &str), &BTreeSet<Path>)| {
            let mut fields = Map::new();
            for path in paths {
                let mut at = &mut fields;
                for part in path {
                    let child = at
                        .entry(part.clone())
                        .or_insert_with(|| Value::Object(Map::new()));
                    at = child.as_object_mut().expect("only objects are put in");
                }
            }
            json!({
                "manager": manager, "operation": operation, "apiVersion": api_version,
                "fieldsType": "FieldsV1", "fieldsV1": fields,
            })
        };
        self.0.iter().map(entry).collect::<Vec<_>>().into()
    }
}

fn dotted(path: &Path) -> String {
    let part = |part: &String| match part.strip_prefix("f:") {
        Some(name) => format!(".{name}"),
        None => format!("[{}]", part.trim_start_matches("k:")),
    };
    path.iter().map(part).collect()
}
