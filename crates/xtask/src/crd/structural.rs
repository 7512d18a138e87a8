//! A schemars schema as the structural schema that a CustomResourceDefinition takes.
//!
//! References are written out, nulls and unions that only say "optional" are dropped, formats that
//! OpenAPI does not know are removed, titles and descriptions too (they would be most of the text), and
//! Kubernetes' own types get their merge marks and defaults.

use serde_json::{Map, Value, json};

use super::marks::{self, ListMark};

/// Deepest nesting that is written out; a type that contains itself ends here as an open value.
const DEPTH: usize = 40;

/// What the API server accepts as a quantity.
const QUANTITY: &str =
    "^[+-]?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$";

/// Formats of the API server; schemars has others (`uint32`, `double` for any float).
const FORMATS: [&str; 6] = ["int32", "int64", "date-time", "byte", "double", "float"];

/// Rewrites `root`, a schema with its `$defs`.
pub fn structural(root: &Value) -> Value {
    let no_definitions = Map::new();
    let definitions = root
        .get("$defs")
        .and_then(Value::as_object)
        .unwrap_or(&no_definitions);
    let name = root
        .get("title")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Rewriter { definitions }.rewrite(root, name, 0)
}

struct Rewriter<'s> {
    definitions: &'s Map<String, Value>,
}

impl Rewriter<'_> {
    /// `name` is the type that the schema belongs to, for marks.
    fn rewrite(&self, schema: &Value, name: &str, depth: usize) -> Value {
        let Some(map) = schema.as_object().filter(|_| depth < DEPTH) else {
            // `true` stands for anything.
            return open();
        };
        if let Some(target) = map.get("$ref").and_then(Value::as_str) {
            return self.follow(target, depth);
        }
        if let Some(done) = special(map, name) {
            return done;
        }
        if let Some(one) = only_option(map) {
            return self.rewrite(one, name, depth + 1);
        }
        if let Some(texts) = enumeration(map) {
            return json!({"type": "string", "enum": texts});
        }
        if map.contains_key("anyOf") || map.contains_key("oneOf") {
            // A real union has no structural form.
            return open();
        }
        self.plain(map, name, depth)
    }

    fn follow(&self, target: &str, depth: usize) -> Value {
        let name = target.rsplit('/').next().unwrap_or(target);
        let name = name.replace("~1", "/").replace("~0", "~");
        match self.definitions.get(&name) {
            Some(definition) => self.rewrite(definition, &name, depth + 1),
            None => open(),
        }
    }

    fn plain(&self, map: &Map<String, Value>, name: &str, depth: usize) -> Value {
        let mut out = Map::new();
        for (key, value) in map {
            let copied = match key.as_str() {
                "type" => Some(single_type(value)),
                "format" => value
                    .as_str()
                    .filter(|format| FORMATS.contains(format))
                    .map(|_| value.clone()),
                "enum" => Some(without_null(value)),
                "required" => required(value, name),
                "pattern" | "minimum" | "maximum" | "minLength" | "maxLength" | "minItems"
                | "maxItems" | "default" => Some(value.clone()),
                "items" => Some(self.rewrite(value, "", depth + 1)),
                "additionalProperties" => match value {
                    Value::Object(_) => Some(self.rewrite(value, "", depth + 1)),
                    _ => None,
                },
                "properties" => Some(self.properties(value, name, depth)),
                key if key.starts_with("x-kubernetes-") => Some(value.clone()),
                _ => None,
            };
            if let Some(copied) = copied {
                out.insert(key.clone(), copied);
            }
        }
        if map.get("additionalProperties") == Some(&Value::Bool(true)) {
            out.insert(
                "x-kubernetes-preserve-unknown-fields".to_owned(),
                json!(true),
            );
        }
        // The server insists on a number's own bounds only; schemars adds those of the Rust type.
        if out.get("type") == Some(&json!("integer")) && out.get("minimum") == Some(&json!(0)) {
            out.remove("minimum");
        }
        if marks::is_atomic(name) {
            out.insert("x-kubernetes-map-type".to_owned(), json!("atomic"));
        }
        if out.is_empty() {
            open()
        } else {
            Value::Object(out)
        }
    }

    fn properties(&self, properties: &Value, name: &str, depth: usize) -> Value {
        let mut out = Map::new();
        for (field, schema) in properties.as_object().into_iter().flatten() {
            let mut done = self.rewrite(schema, "", depth + 1);
            match marks::list_mark(name, field) {
                Some(ListMark::Map(keys)) => {
                    done["x-kubernetes-list-type"] = json!("map");
                    done["x-kubernetes-list-map-keys"] = json!(keys);
                }
                Some(ListMark::Set) => done["x-kubernetes-list-type"] = json!("set"),
                None => {}
            }
            if let Some(default) = marks::default_of(name, field) {
                done["default"] = json!(default);
            }
            out.insert(field.clone(), done);
        }
        Value::Object(out)
    }
}

/// A value of any form.
pub(super) fn open() -> Value {
    json!({"x-kubernetes-preserve-unknown-fields": true})
}

/// A number or a text.
pub(super) fn int_or_string() -> Value {
    json!({
        "anyOf": [{"type": "integer"}, {"type": "string"}],
        "x-kubernetes-int-or-string": true,
    })
}

/// Types that have a form of their own.
fn special(map: &Map<String, Value>, name: &str) -> Option<Value> {
    let short = marks::short_name(name);
    if short == "Quantity" {
        let mut quantity = int_or_string();
        quantity["pattern"] = json!(QUANTITY);
        return Some(quantity);
    }
    if short == "ObjectMeta" {
        // Metadata of templates: only what a template may carry. Without properties the server
        // would drop the labels.
        let text = json!({"type": "object", "additionalProperties": {"type": "string"}});
        return Some(json!({"type": "object", "properties": {
            "annotations": text, "labels": text,
            "name": {"type": "string"}, "namespace": {"type": "string"},
            "finalizers": {"type": "array", "items": {"type": "string"}},
        }}));
    }
    if map.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        return Some(int_or_string());
    }
    None
}

/// The only alternative to null, or the one part of an `allOf`.
fn only_option(map: &Map<String, Value>) -> Option<&Value> {
    for key in ["anyOf", "oneOf", "allOf"] {
        let Some(list) = map.get(key).and_then(Value::as_array) else {
            continue;
        };
        let mut real = list.iter().filter(|option| option["type"] != "null");
        if let (Some(one), None) = (real.next(), real.next()) {
            return Some(one);
        }
    }
    None
}

/// The texts of an enum that schemars writes as alternatives with one constant each.
fn enumeration(map: &Map<String, Value>) -> Option<Vec<Value>> {
    let list = map.get("oneOf").and_then(Value::as_array)?;
    let mut texts = Vec::new();
    for option in list {
        match (
            option.get("const"),
            option.get("enum").and_then(Value::as_array),
        ) {
            (Some(text), _) if text.is_string() => texts.push(text.clone()),
            (_, Some(several)) => texts.extend(several.iter().cloned()),
            _ => return None,
        }
    }
    Some(texts)
}

/// `["string", "null"]` means an optional text.
fn single_type(value: &Value) -> Value {
    match value.as_array() {
        Some(list) => list
            .iter()
            .find(|kind| **kind != "null")
            .cloned()
            .unwrap_or(json!("object")),
        None => value.clone(),
    }
}

/// Fields with a default are not required.
fn required(value: &Value, name: &str) -> Option<Value> {
    let needed = |field: &&Value| {
        field
            .as_str()
            .is_none_or(|field| marks::default_of(name, field).is_none())
    };
    let list: Vec<Value> = value.as_array()?.iter().filter(needed).cloned().collect();
    (!list.is_empty()).then(|| list.into())
}

fn without_null(value: &Value) -> Value {
    let kept = value
        .as_array()
        .map(|list| list.iter().filter(|v| !v.is_null()).cloned());
    kept.map_or_else(|| value.clone(), |list| list.collect::<Vec<_>>().into())
}
