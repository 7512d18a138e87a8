//! A schema that explains and takes everything.
//!
//! Upstream's definitions of some kinds have no schema. Existing objects may hold anything, and a wrong type is
//! reported by the controller, on the object. So every value is left without a type and keeps what is unknown; fields
//! and descriptions are there for `kubectl explain` and for editors.

use serde_json::{Map, Value, json};

use super::{
    structural::open,
    table::{DEPTH, Key, Place, Table, TableError, Wrap},
};

impl Table<'_> {
    /// The open schema of the whole object.
    pub fn open_schema(&self) -> Result<Value, TableError> {
        let root = Place {
            path: "",
            topic: self.kind,
            depth: 0,
        };
        let mut properties = self.open_fields(self.fields, root)?;
        for name in ["spec", "status"] {
            if let Some(value) = properties.get_mut(name) {
                value["type"] = json!("object");
            }
        }
        properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
        properties.insert("kind".to_owned(), json!({"type": "string"}));
        properties.insert("metadata".to_owned(), json!({"type": "object"}));
        Ok(json!({"type": "object", "required": ["metadata", "spec"], "properties": properties}))
    }

    fn open_fields(
        &self,
        fields: &Value,
        place: Place<'_>,
    ) -> Result<Map<String, Value>, TableError> {
        let error = |message: String| TableError {
            path: place.path.to_owned(),
            message,
        };
        if place.depth > DEPTH {
            return Err(error("types contain each other without end".to_owned()));
        }
        let mut properties = Map::new();
        for (text, kind) in fields.as_object().into_iter().flatten() {
            let key = Key::parse(text).ok_or_else(|| error(format!("{text:?} is no field")))?;
            let path = format!("{}.{}", place.path, key.name);
            let topic = format!("{}.{}", place.topic, key.name);
            let named = kind.as_str().and_then(|name| self.types.get(name));
            let mut value = open();
            if let Some(below) = kind.as_object().map(|_| kind).or(named) {
                let child = Place {
                    path: &path,
                    topic: kind.as_str().unwrap_or(&topic),
                    depth: place.depth + 1,
                };
                value["properties"] = self.open_fields(below, child)?.into();
            }
            let mut value = key.wraps.iter().rev().fold(value, wrapped);
            if let Some(description) = self.descriptions.of(&topic) {
                value["description"] = json!(description);
            }
            properties.insert(key.name.to_owned(), value);
        }
        Ok(properties)
    }
}

fn wrapped(inner: Value, wrap: &Wrap<'_>) -> Value {
    let mut outer = open();
    let key = if matches!(wrap, Wrap::Map) {
        "additionalProperties"
    } else {
        "items"
    };
    outer[key] = inner;
    outer
}
