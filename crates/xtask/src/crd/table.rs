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
//! that must not change) and names of the table of types.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    core_types::core_type,
    structural::{int_or_string, open},
};

/// Deepest nesting of named types.
const DEPTH: usize = 24;

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
}

/// The fields of one kind, ready to be turned into a schema or listed.
#[derive(Clone, Copy, Debug)]
pub struct Table<'t> {
    /// Top-level fields: `spec`, `status` and so on.
    pub fields: &'t Value,
    /// Types that they refer to.
    pub types: &'t Types,
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
}

/// A field name with its suffixes taken apart.
struct Key<'k> {
    name: &'k str,
    required: bool,
    wraps: Vec<Wrap<'k>>,
}

enum Wrap<'k> {
    List,
    Set,
    Keyed(Vec<&'k str>),
    Map,
}

impl<'k> Key<'k> {
    fn parse(text: &'k str) -> Option<Self> {
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
        let mut schema = self.object(self.fields, "", 0)?;
        let properties = schema["properties"]
            .as_object_mut()
            .expect("an object has properties");
        properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
        properties.insert("kind".to_owned(), json!({"type": "string"}));
        properties.insert("metadata".to_owned(), json!({"type": "object"}));
        Ok(schema)
    }

    fn object(&self, fields: &Value, path: &str, depth: usize) -> Result<Value, TableError> {
        let error = |message: &str| TableError {
            path: path.to_owned(),
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
            let child = format!("{path}.{}", key.name);
            if key.required {
                required.push(json!(key.name));
            }
            let schema = wrapped(&key, self.value(kind, &child, depth + 1)?);
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

    fn value(&self, kind: &Value, path: &str, depth: usize) -> Result<Value, TableError> {
        let error = |message: String| TableError {
            path: path.to_owned(),
            message,
        };
        if depth > DEPTH {
            return Err(error("types contain each other without end".to_owned()));
        }
        let Some(text) = kind.as_str() else {
            return self.object(kind, path, depth);
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
        if let Some(fields) = self.types.0.get(text) {
            return self.object(fields, path, depth);
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
        self.list(self.fields, "", 0, &mut rows);
        rows
    }

    fn list(&self, fields: &Value, path: &str, depth: usize, rows: &mut Vec<Row>) {
        for (text, kind) in fields.as_object().into_iter().flatten() {
            let Some(key) = Key::parse(text).filter(|_| depth < DEPTH) else {
                continue;
            };
            let dot = if path.is_empty() { "" } else { "." };
            let child = format!("{path}{dot}{}{}", key.name, key.path_suffix());
            let named = kind.as_str().and_then(|name| self.types.0.get(name));
            let below = if kind.is_object() { Some(kind) } else { named };
            let text = kind
                .as_str()
                .map_or_else(|| "object".to_owned(), str::to_owned);
            let subtree = text.starts_with("core.") || text.ends_with("any");
            let shown = if subtree {
                format!("{child}.**")
            } else {
                child.clone()
            };
            rows.push(Row {
                path: shown,
                kind: text,
                has_children: below.is_some(),
            });
            if let Some(below) = below {
                self.list(below, &child, depth + 1, rows);
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
