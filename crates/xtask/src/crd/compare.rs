//! What another definition of the same kind has and ours has not.
//!
//! The direction matters: a manifest that the other accepts must be accepted by ours and lose
//! nothing. So ours may have more fields, and may be more open, but not less.

use std::fmt;

use serde_json::{Map, Value};

/// One way in which ours falls short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where: `names.shortNames`, or the path of a property.
    pub path: String,
    /// The difference.
    pub message: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// Compares two CustomResourceDefinitions given as objects: names, scope, columns, subresources, and
/// every property of `other`'s schema with its type, openness, required fields, enums and merge
/// marks.
pub fn compare(ours: &Value, other: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut equal = |path: &str, pointer: &str| {
        let (left, right) = (ours.pointer(pointer), other.pointer(pointer));
        if left != right {
            let message = format!("ours {}, other {}", text(left), text(right));
            found.push(Difference {
                path: path.to_owned(),
                message,
            });
        }
    };
    equal("group", "/spec/group");
    equal("scope", "/spec/scope");
    for name in ["kind", "listKind", "plural", "singular", "shortNames"] {
        equal(&format!("names.{name}"), &format!("/spec/names/{name}"));
    }
    equal("version", "/spec/versions/0/name");
    columns(
        &ours["spec"]["versions"][0],
        &other["spec"]["versions"][0],
        &mut found,
    );
    subresources(
        &ours["spec"]["versions"][0],
        &other["spec"]["versions"][0],
        &mut found,
    );
    let schema = "/spec/versions/0/schema/openAPIV3Schema";
    if let (Some(ours), Some(other)) = (ours.pointer(schema), other.pointer(schema)) {
        schemas(ours, other, "", &mut found);
    }
    found
}

fn text(value: Option<&Value>) -> String {
    value.map_or_else(|| "nothing".to_owned(), Value::to_string)
}

/// Ours may have more columns. Descriptions of columns are each project's own words.
fn columns(ours: &Value, other: &Value, out: &mut Vec<Difference>) {
    let plain = |version: &Value| -> Vec<Value> {
        let list = version["additionalPrinterColumns"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let without = |mut column: Value| {
            if let Some(map) = column.as_object_mut() {
                map.remove("description");
            }
            column
        };
        list.into_iter().map(without).collect()
    };
    let (ours, other) = (plain(ours), plain(other));
    // Scripts count columns from the left.
    if !ours.starts_with(&other) {
        let message = format!("ours {ours:?}, other {other:?}");
        out.push(Difference {
            path: "columns".to_owned(),
            message,
        });
    }
}

/// An empty map of subresources is the same as none.
fn subresources(ours: &Value, other: &Value, out: &mut Vec<Difference>) {
    let empty = Map::new();
    let map = |version: &Value| {
        version["subresources"]
            .as_object()
            .cloned()
            .unwrap_or(empty.clone())
    };
    if map(ours) != map(other) {
        let message = format!("ours {:?}, other {:?}", map(ours), map(other));
        out.push(Difference {
            path: "subresources".to_owned(),
            message,
        });
    }
}

fn is_open(schema: &Value) -> bool {
    schema["x-kubernetes-preserve-unknown-fields"] == true
}

fn schemas(ours: &Value, other: &Value, path: &str, out: &mut Vec<Difference>) {
    let differs = |message: String| Difference {
        path: path.to_owned(),
        message,
    };
    // An open value without a type takes anything. Where the other is open and ours is not, ours
    // must at least have the type's own fields, which only a person can judge: core types are.
    if is_open(ours) && ours.get("type").is_none() {
        return;
    }
    let open_core = is_open(other) && other.get("type").is_none() && ours.get("type").is_some();
    if !open_core {
        for key in ["type", "format", "x-kubernetes-int-or-string"] {
            if ours.get(key) != other.get(key) {
                out.push(differs(format!(
                    "{key}: ours {}, other {}",
                    text(ours.get(key)),
                    text(other.get(key))
                )));
            }
        }
        for key in ["x-kubernetes-list-type", "x-kubernetes-list-map-keys"] {
            let other_mark = other.get(key).filter(|mark| **mark != "atomic");
            if other_mark.is_some() && ours.get(key) != other_mark {
                out.push(differs(format!(
                    "{key}: ours {}, other {}",
                    text(ours.get(key)),
                    text(other_mark)
                )));
            }
        }
        if is_open(other) && !is_open(ours) {
            out.push(differs("the other keeps unknown fields".to_owned()));
        }
    }
    more_required(ours, other, path, out);
    if let Some(allowed) = ours.get("enum").and_then(Value::as_array) {
        let theirs = other.get("enum").and_then(Value::as_array);
        if theirs.is_none_or(|theirs| theirs.iter().any(|value| !allowed.contains(value))) {
            out.push(differs("ours allows fewer values".to_owned()));
        }
    }
    for (name, theirs) in other["properties"].as_object().into_iter().flatten() {
        let child = format!("{path}.{name}");
        match ours["properties"].get(name) {
            Some(mine) => schemas(mine, theirs, &child, out),
            None if is_open(ours) => {}
            None => out.push(Difference {
                path: child,
                message: "missing".to_owned(),
            }),
        }
    }
    for (key, suffix) in [("items", "[]"), ("additionalProperties", ".{*}")] {
        if let Some(theirs) = other.get(key).filter(|schema| schema.is_object()) {
            let child = format!("{path}{suffix}");
            match ours.get(key) {
                Some(mine) => schemas(mine, theirs, &child, out),
                None if is_open(ours) => {}
                None => out.push(Difference {
                    path: child,
                    message: "missing".to_owned(),
                }),
            }
        }
    }
}

/// A field that ours requires and the other does not would refuse a manifest.
fn more_required(ours: &Value, other: &Value, path: &str, out: &mut Vec<Difference>) {
    let list = |schema: &Value| schema["required"].as_array().cloned().unwrap_or_default();
    for name in list(ours).iter().filter(|name| !list(other).contains(name)) {
        // `metadata` is always there, `spec` of a template type is required by Kubernetes itself.
        if other["properties"]
            .get(name.as_str().unwrap_or_default())
            .is_some()
        {
            let message = format!("ours requires {name}");
            out.push(Difference {
                path: path.to_owned(),
                message,
            });
        }
    }
}
