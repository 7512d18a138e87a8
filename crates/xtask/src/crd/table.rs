//! The notation in which kinds are written down.
//!
//! A table is YAML: field names with suffixes, and types.
//!
//! ```yaml
//! spec!:                       # ! required
//!   replicas: int32
//!   steps[]:                   # a list of objects
//!     setWeight: int32
//!   queries{}: string          # a map
//!   ports[name]:               # a list that merges by key
//!     name!: string
//!   names[set]: string         # a list whose elements are unique
//!   template: core.PodTemplateSpec
//!   analysis: AnalysisSpec     # a type of the table of types
//!   mode: string enum=a|b default=a
//! ```
//!
//! Types: `string int32 int64 integer number bool time int-or-string object`, `any` (a value of any
//! form), `object-any`, `list-any`; then `core.X` for Kubernetes' own types (`core.X immutable` for one
//! that must not change) and names of the table of types (`Name open` for one that the schema leaves open, where it
//! would be repeated too often).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    core_types::core_type,
    descriptions::Descriptions,
    structural::{int_or_string, open},
};

/// Deepest nesting of named types.
pub(super) const DEPTH: usize = 24;

/// After the name of a type whose fields the schema does not repeat.
const OPEN: &str = " open";

/// Why a table cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct TableError {
    /// The field.
    pub path: String,
    /// The problem with the field.
    pub message: String,
}

/// Named types that tables refer to.
#[derive(Clone, Debug, Default)]
pub struct Types(BTreeMap<String, Value>);

impl Types {
    /// From a map of names to fields.
    pub fn new(types: &Value) -> Self {
        let entries = types.as_object().into_iter().flatten();
        Self(
            entries
                .map(|(name, fields)| (name.clone(), fields.clone()))
                .collect(),
        )
    }

    /// The fields of a type.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

/// The fields of one kind, ready to be turned into a schema or listed.
#[derive(Clone, Copy, Debug)]
pub struct Table<'t> {
    /// The name of the kind, where the topics of descriptions begin.
    pub kind: &'t str,
    /// Top-level fields: `spec`, `status` and so on.
    pub fields: &'t Value,
    /// Types that they refer to.
    pub types: &'t Types,
    /// Sentences for the fields.
    pub descriptions: &'t Descriptions,
}

/// Where a field stands.
#[derive(Clone, Copy)]
pub(super) struct Place<'p> {
    /// From the object's root, for errors.
    pub(super) path: &'p str,
    /// From the kind or the shared type, for descriptions.
    pub(super) topic: &'p str,
    /// Types above it.
    pub(super) depth: usize,
}

/// One field for a list of all fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The path in the notation of [`crate::fields`]: `spec.steps[].setWeight`.
    pub path: String,
    /// The type as the table has it.
    pub kind: String,
    /// The field has fields of its own that are listed after it.
    pub has_children: bool,
    /// What its description is found by, see [`Descriptions`].
    pub topic: String,
}

/// A field name with its suffixes taken apart.
pub(super) struct Key<'k> {
    pub(super) name: &'k str,
    required: bool,
    /// Lists and maps around the value, the outermost first.
    pub(super) wraps: Vec<Wrap<'k>>,
}

pub(super) enum Wrap<'k> {
    List,
    Set,
    Keyed(Vec<&'k str>),
    Map,
}

impl<'k> Key<'k> {
    pub(super) fn parse(text: &'k str) -> Option<Self> {
        let end = text.find(['!', '[', '{']).unwrap_or(text.len());
        let (name, mut rest) = text.split_at(end);
        let required = rest.starts_with('!');
        rest = rest.trim_start_matches('!');
        let mut wraps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix("{}") {
                wraps.push(Wrap::Map);
                rest = after;
                continue;
            }
            let (inside, after) = rest.strip_prefix('[')?.split_once(']')?;
            rest = after;
            wraps.push(match inside {
                "" => Wrap::List,
                "set" => Wrap::Set,
                keys => Wrap::Keyed(keys.split(',').collect()),
            });
        }
        (!name.is_empty()).then_some(Self {
            name,
            required,
            wraps,
        })
    }

    /// The suffix of the path: `[]` and `.{*}`.
    fn path_suffix(&self) -> String {
        let part = |wrap: &Wrap<'_>| {
            if matches!(wrap, Wrap::Map) {
                ".{*}"
            } else {
                "[]"
            }
        };
        self.wraps.iter().map(part).collect()
    }
}

impl Table<'_> {
    /// The schema of the whole object, `apiVersion`, `kind` and `metadata` included.
    pub fn schema(&self) -> Result<Value, TableError> {
        let root = Place {
            path: "",
            topic: self.kind,
            depth: 0,
        };
        let mut schema = self.object(self.fields, root)?;
        let properties = schema["properties"]
            .as_object_mut()
            .expect("an object has properties");
        properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
        properties.insert("kind".to_owned(), json!({"type": "string"}));
        properties.insert("metadata".to_owned(), json!({"type": "object"}));
        Ok(schema)
    }

    fn object(&self, fields: &Value, place: Place<'_>) -> Result<Value, TableError> {
        let error = |message: &str| TableError {
            path: place.path.to_owned(),
            message: message.to_owned(),
        };
        let fields = fields
            .as_object()
            .ok_or_else(|| error("fields are written as a map"))?;
        let (mut properties, mut required) = (Map::new(), Vec::new());
        let mut atomic = false;
        for (text, kind) in fields {
            if text == "$atomic" {
                atomic = true;
                continue;
            }
            let key = Key::parse(text).ok_or_else(|| error(&format!("{text:?} is no field")))?;
            let (path, topic) = (
                format!("{}.{}", place.path, key.name),
                format!("{}.{}", place.topic, key.name),
            );
            if key.required {
                required.push(json!(key.name));
            }
            let child = Place {
                path: &path,
                topic: &topic,
                depth: place.depth + 1,
            };
            let mut schema = wrapped(&key, self.value(kind, child)?);
            if let Some(description) = self.descriptions.of(&topic) {
                schema["description"] = json!(description);
            }
            properties.insert(key.name.to_owned(), schema);
        }
        let mut schema = json!({"type": "object", "properties": properties});
        if !required.is_empty() {
            schema["required"] = required.into();
        }
        if atomic {
            schema["x-kubernetes-map-type"] = json!("atomic");
        }
        Ok(schema)
    }

    fn value(&self, kind: &Value, place: Place<'_>) -> Result<Value, TableError> {
        let Place { path, depth, .. } = place;
        let error = |message: String| TableError {
            path: path.to_owned(),
            message,
        };
        if depth > DEPTH {
            return Err(error("types contain each other without end".to_owned()));
        }
        let Some(text) = kind.as_str() else {
            return self.object(kind, place);
        };
        if let Some(text) = text.strip_prefix("core.") {
            let (name, option) = text.split_once(' ').unwrap_or((text, ""));
            let mut schema =
                core_type(name).ok_or_else(|| error(format!("no core type {name:?}")))?;
            if option == "immutable" {
                let message = format!("{path} is immutable");
                schema["x-kubernetes-validations"] =
                    json!([{"message": message, "rule": "self == oldSelf"}]);
            }
            return Ok(schema);
        }
        if text.ends_with(OPEN) {
            return Ok(json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
        }
        if let Some(fields) = self.types.0.get(text) {
            return self.object(
                fields,
                Place {
                    topic: text,
                    ..place
                },
            );
        }
        let mut words = text.split(' ');
        let word = words.next().unwrap_or_default();
        let mut schema = scalar(word).ok_or_else(|| error(format!("no type {word:?}")))?;
        for option in words {
            let (name, value) = option
                .split_once('=')
                .ok_or_else(|| error(format!("{option:?} is not of the form name=value")))?;
            schema[name] = option_value(name, value)
                .ok_or_else(|| error(format!("option {option:?} is not known")))?;
        }
        Ok(schema)
    }

    /// All fields in order, down to the leaves. Core types are one row with `.**`.
    pub fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        let root = Place {
            path: "",
            topic: self.kind,
            depth: 0,
        };
        self.list(self.fields, root, &mut rows);
        rows
    }

    fn list(&self, fields: &Value, place: Place<'_>, rows: &mut Vec<Row>) {
        let Place { path, depth, .. } = place;
        for (text, kind) in fields.as_object().into_iter().flatten() {
            let Some(key) = Key::parse(text).filter(|_| depth < DEPTH) else {
                continue;
            };
            let dot = if path.is_empty() { "" } else { "." };
            let child = format!("{path}{dot}{}{}", key.name, key.path_suffix());
            let name = kind.as_str().map(|name| name.trim_end_matches(OPEN));
            let named = name.and_then(|name| self.types.0.get(name));
            let below = if kind.is_object() { Some(kind) } else { named };
            let text = name.unwrap_or("object").to_owned();
            let subtree = text.starts_with("core.") || text.ends_with("any");
            let shown = if subtree {
                format!("{child}.**")
            } else {
                child.clone()
            };
            let topic = format!("{}.{}", place.topic, key.name);
            rows.push(Row {
                path: shown,
                kind: text,
                has_children: below.is_some(),
                topic: topic.clone(),
            });
            if let Some(below) = below {
                let child = Place {
                    path: &child,
                    topic: name.unwrap_or(&topic),
                    depth: depth + 1,
                };
                self.list(below, child, rows);
            }
        }
    }
}

fn wrapped(key: &Key<'_>, inner: Value) -> Value {
    key.wraps
        .iter()
        .rev()
        .fold(inner, |inner, wrap| match wrap {
            Wrap::List => json!({"type": "array", "items": inner}),
            Wrap::Set => json!({"type": "array", "items": inner, "x-kubernetes-list-type": "set"}),
            Wrap::Keyed(keys) => json!({
                "type": "array", "items": inner,
                "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": keys,
            }),
            Wrap::Map => json!({"type": "object", "additionalProperties": inner}),
        })
}

fn scalar(word: &str) -> Option<Value> {
    Some(match word {
        "string" => json!({"type": "string"}),
        "time" => json!({"type": "string", "format": "date-time"}),
        "int32" => json!({"type": "integer", "format": "int32"}),
        "int64" => json!({"type": "integer", "format": "int64"}),
        "integer" => json!({"type": "integer"}),
        "number" => json!({"type": "number"}),
        "bool" => json!({"type": "boolean"}),
        "object" => json!({"type": "object"}),
        "int-or-string" => int_or_string(),
        "any" => open(),
        "object-any" => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        "list-any" => json!({"type": "array", "items": open()}),
        _ => return None,
    })
}

fn option_value(name: &str, value: &str) -> Option<Value> {
    Some(match name {
        "enum" => value.split('|').collect::<Vec<_>>().into(),
        "default" | "pattern" => value.into(),
        "minLength" | "maxLength" => value.parse::<i64>().ok()?.into(),
        _ => return None,
    })
}
