//! Filters of event sources.
//!
//! An expression sees the keys of the payload as variables: `-` becomes `_`, dots make nested
//! maps (`"a.b"` is `a.b`), and a key that another one continues (`a` beside `a.b`) is dropped.
//! There are `asInt`, `asFloat`, `jsonpath(text, path)`, `toJson` and all of [`crate::sprig`]
//! under `sprig.`. Nothing is known about types before the event is there, so a name that does
//! not exist is nil.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value as TemplateValue;
use jiff::Timestamp;
use serde_json::Value as Json;

use super::error::{EvalError, Fault};
use super::host::{Function, Host};
use super::types::Type;
use super::value::Value;
use super::{Program, analysis};
use crate::go_text::json;
use crate::jsonpath::JsonPath;
use crate::sprig;

/// A parsed filter.
#[derive(Debug, Clone)]
pub struct Filter {
    program: Program,
}

impl Filter {
    /// Parses the expression of a filter.
    pub fn parse(expression: &str) -> Result<Self, EvalError> {
        Program::parse(expression).map(|program| Self { program })
    }

    /// Whether an event with this payload goes through. The payload must be a JSON object.
    pub fn accepts(&self, payload: &Json, now: Option<Timestamp>) -> Result<bool, EvalError> {
        let Json::Object(payload) = payload else {
            let fault = Fault::run(0, "the payload of the event is no JSON object");
            return Err(fault.bind(&self.program.source));
        };
        sprig::begin(now);
        let variables = expanded(payload);
        self.program.run_bool(&Surroundings { variables, now })
    }
}

/// Turns payload keys into variables.
fn expanded(payload: &serde_json::Map<String, Json>) -> BTreeMap<String, Value> {
    let names: BTreeMap<String, &Json> = payload
        .iter()
        .map(|(key, value)| (key.replace('-', "_"), value))
        .collect();
    let mut root = Tree::default();
    for (name, value) in &names {
        let is_parent = names
            .range::<String, _>((std::ops::Bound::Excluded(name), std::ops::Bound::Unbounded))
            .next()
            .is_some_and(|(next, _)| {
                next.strip_prefix(name.as_str())
                    .is_some_and(|r| r.starts_with('.'))
            });
        if !is_parent {
            root.insert(name, Value::from_json(value));
        }
    }
    root.children
        .into_iter()
        .map(|(name, tree)| (name, tree.into_value()))
        .collect()
}

#[derive(Default)]
struct Tree {
    value: Option<Value>,
    children: BTreeMap<String, Tree>,
}

impl Tree {
    /// Keys with more dots than this stay flat from there on.
    const MAX_DOTS: usize = 32;

    fn insert(&mut self, name: &str, value: Value) {
        let mut node = self;
        for part in name.splitn(Self::MAX_DOTS, '.') {
            node = node.children.entry(part.to_owned()).or_default();
        }
        node.value = Some(value);
    }

    fn into_value(self) -> Value {
        if self.children.is_empty() {
            return self.value.unwrap_or(Value::Nil);
        }
        let children = self.children.into_iter();
        Value::Map(Arc::new(
            children
                .map(|(name, tree)| (name, tree.into_value()))
                .collect(),
        ))
    }
}

struct Surroundings {
    variables: BTreeMap<String, Value>,
    now: Option<Timestamp>,
}

impl Host for Surroundings {
    fn variable(&self, name: &str) -> Option<Value> {
        self.variables.get(name).cloned()
    }

    fn variable_type(&self, name: &str) -> Option<Type> {
        self.variables.contains_key(name).then_some(Type::Unknown)
    }

    fn function(&self, name: &str) -> Option<Function> {
        if let Some(name) = name.strip_prefix("sprig.") {
            return sprig::exists(name).then_some(Function {
                params: "|?*",
                returns: Type::Unknown,
            });
        }
        let (params, returns) = match name {
            "asInt" => ("?", Type::Int),
            "asFloat" => ("?", Type::Float),
            "jsonpath" => ("ss", Type::Unknown),
            "toJson" => ("?", Type::Str),
            _ => return None,
        };
        Some(Function { params, returns })
    }

    fn call(&self, name: &str, args: &[Value]) -> Result<Value, String> {
        if let Some(name) = name.strip_prefix("sprig.") {
            let args: Vec<TemplateValue> = args.iter().map(to_template).collect();
            return sprig::call(name, &args).map(|value| from_template(&value));
        }
        match name {
            "asInt" => analysis::as_int(&args[0]),
            "asFloat" => analysis::as_float(&args[0]),
            "toJson" => Ok(Value::text(
                args[0]
                    .to_json()
                    .map(|v| json::to_string(&v, json::COMPACT))
                    .unwrap_or_default(),
            )),
            _ => json_path(&args[0], &args[1]),
        }
    }

    fn is_namespace(&self, name: &str) -> bool {
        name == "sprig"
    }

    fn variables(&self) -> Value {
        Value::Map(Arc::new(self.variables.clone()))
    }

    fn now(&self) -> Option<Timestamp> {
        self.now
    }
}

/// `jsonpath(text, path)`: the value of a path that names one place, a list for other paths.
fn json_path(text: &Value, path: &Value) -> Result<Value, String> {
    let (Some(text), Some(path)) = (text.as_str(), path.as_str()) else {
        return Err("jsonpath takes two texts".to_owned());
    };
    let data: Json = serde_json::from_str(text).map_err(|error| format!("jsonpath: {error}"))?;
    let path = JsonPath::parse(path).map_err(|error| error.to_string())?;
    let found = path.find(&data).map_err(|error| error.to_string())?;
    match found.as_slice() {
        [one] if path.is_definite() => Ok(Value::from_json(one)),
        _ => Ok(Value::list(
            found.into_iter().map(Value::from_json).collect(),
        )),
    }
}

fn to_template(value: &Value) -> TemplateValue {
    match value {
        Value::Nil => TemplateValue::Nil,
        Value::Bool(b) => TemplateValue::Bool(*b),
        Value::Int(i) => TemplateValue::Int(*i),
        Value::Float(f) => TemplateValue::Float(*f),
        Value::Str(text) => TemplateValue::String(text.clone()),
        Value::List(items) => TemplateValue::List(items.iter().map(to_template).collect()),
        Value::Map(map) => TemplateValue::Map(Arc::new(
            map.iter()
                .map(|(k, v)| (Arc::from(k.as_str()), to_template(v)))
                .collect(),
        )),
        other => TemplateValue::String(other.go_string().into()),
    }
}

fn from_template(value: &TemplateValue) -> Value {
    match value {
        TemplateValue::Nil | TemplateValue::Function(_) => Value::Nil,
        TemplateValue::Bool(b) => Value::Bool(*b),
        TemplateValue::Int(i) => Value::Int(*i),
        TemplateValue::Uint(u) => Value::Int(u.cast_signed()),
        TemplateValue::Float(f) => Value::Float(*f),
        TemplateValue::String(text) => Value::Str(text.clone()),
        TemplateValue::List(items) => Value::list(items.iter().map(from_template).collect()),
        TemplateValue::Map(map) => Value::Map(Arc::new(
            map.iter()
                .map(|(k, v)| (k.to_string(), from_template(v)))
                .collect(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn accepts(expression: &str) -> Result<bool, String> {
        let payload = json!({
            "type": "push", "X-GitHub-Event": ["push"], "a.b": 1, "a": 2, "a.c.d": 3,
            "body": {"ref": "refs/heads/main", "size": 2, "raw": "{\"k\": [1, {\"v\": \"x\"}]}"},
            "notes": true,
        });
        Filter::parse(expression)
            .and_then(|filter| filter.accepts(&payload, None))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn payload_keys_are_variables() {
        for expression in [
            "type == \"push\"",
            "X_GitHub_Event[0] == 'push'",
            "a.b == 1 && a.c.d == 3",
            "body.ref startsWith \"refs/heads/\"",
            "notes",
            "missing == nil",
            "body.size == 2 and type != 5",
            "asInt(body.size) % 2 == 0",
            "asFloat(\"1.5\") > 1",
            "toJson(X_GitHub_Event) == '[\"push\"]'",
            "jsonpath(body.raw, '$.k[1].v') == 'x'",
            "jsonpath(body.raw, '$.k[*]')[0] == 1",
            "sprig.trimPrefix(\"refs/heads/\", body.ref) == \"main\"",
            "sprig.upper(type) == \"PUSH\" && len(sprig.splitList(\"/\", body.ref)) == 3",
            "sprig.has(\"push\", X_GitHub_Event)",
            "any(X_GitHub_Event, # == 'push')",
        ] {
            assert_eq!(accepts(expression), Ok(true), "{expression}");
        }
    }

    #[test]
    fn errors_are_errors_and_not_false() {
        for (expression, message) in [
            (
                "body.size",
                "expected bool, but got float64, at 1:1 of expression `body.size`",
            ),
            (
                "missing.deep == 1",
                "cannot fetch deep from <nil>, at 1:9 of expression `missing.deep == 1`",
            ),
            (
                "sprig.env(\"HOME\") == \"\"",
                "sprig has no function `env`, at 1:7 of expression `sprig.env(\"HOME\") == \"\"`",
            ),
            (
                "sprig.upper(1) == \"\"",
                "argument 1 of upper must be a string, not int, at 1:7 of expression `sprig.upper(1) == \"\"`",
            ),
        ] {
            assert_eq!(accepts(expression).unwrap_err(), message);
        }
        let filter = Filter::parse("true").unwrap();
        assert!(filter.accepts(&json!([1]), None).is_err());
    }

    proptest! {
        #[test]
        fn no_payload_panics(keys in prop::collection::vec("[a.-]{0,6}", 0..6)) {
            let payload: serde_json::Map<String, Json> =
                keys.into_iter().map(|key| (key, json!(1))).collect();
            let _ = Filter::parse("a == 1").unwrap().accepts(&Json::Object(payload), None);
        }
    }
}
