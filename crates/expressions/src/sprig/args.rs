//! Reading arguments the way Go passes them: typed parameters take only their type, parameters of
//! any type are converted.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;
use serde_json::Value as Json;

use crate::go_text;

/// The arguments of one call.
pub(super) struct Args<'a> {
    pub(super) name: &'static str,
    pub(super) values: &'a [Value],
}

pub(super) type Outcome = Result<Value, String>;
pub(super) type Map = BTreeMap<Arc<str>, Value>;

impl<'a> Args<'a> {
    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// Argument `index`; the number of arguments has been checked, optional ones are nil.
    pub(super) fn any(&self, index: usize) -> &'a Value {
        static NIL: Value = Value::Nil;
        self.values.get(index).unwrap_or(&NIL)
    }

    pub(super) fn last(&self) -> &'a Value {
        self.any(self.values.len().saturating_sub(1))
    }

    fn wrong(&self, index: usize, wanted: &str) -> String {
        let found = type_name(self.any(index));
        format!(
            "argument {} of {} must be a {wanted}, not {found}",
            index + 1,
            self.name
        )
    }

    /// A parameter of type `string`.
    pub(super) fn str(&self, index: usize) -> Result<&'a str, String> {
        match self.any(index) {
            Value::String(text) => Ok(text),
            _ => Err(self.wrong(index, "string")),
        }
    }

    /// A parameter of type `int`.
    pub(super) fn int(&self, index: usize) -> Result<i64, String> {
        match self.any(index) {
            Value::Int(i) => Ok(*i),
            Value::Uint(u) => i64::try_from(*u).map_err(|_| self.wrong(index, "int")),
            _ => Err(self.wrong(index, "int")),
        }
    }

    /// A parameter of type `bool`.
    pub(super) fn bool(&self, index: usize) -> Result<bool, String> {
        match self.any(index) {
            Value::Bool(b) => Ok(*b),
            _ => Err(self.wrong(index, "bool")),
        }
    }

    /// A parameter of any type that must be a list.
    pub(super) fn list(&self, index: usize) -> Result<&'a [Value], String> {
        match self.any(index) {
            Value::List(items) => Ok(items),
            _ => Err(self.wrong(index, "list")),
        }
    }

    /// A parameter of type `map[string]any`.
    pub(super) fn map(&self, index: usize) -> Result<&'a Map, String> {
        match self.any(index) {
            Value::Map(map) => Ok(map),
            _ => Err(self.wrong(index, "dict")),
        }
    }
}

pub(super) fn text(text: impl Into<Arc<str>>) -> Value {
    Value::String(text.into())
}

pub(super) fn list(items: Vec<Value>) -> Value {
    Value::List(items.into())
}

pub(super) fn texts<T: Into<Arc<str>>>(items: impl IntoIterator<Item = T>) -> Value {
    list(items.into_iter().map(|item| text(item)).collect())
}

pub(super) fn map(map: Map) -> Value {
    Value::Map(Arc::new(map))
}

/// Go's `%v`.
pub(crate) fn go_string(value: &Value) -> String {
    match value {
        Value::Nil => "<nil>".to_owned(),
        Value::Float(f) => go_text::float(*f),
        Value::List(items) => {
            format!(
                "[{}]",
                items.iter().map(go_string).collect::<Vec<_>>().join(" ")
            )
        }
        Value::Map(map) => {
            let items = map.iter().map(|(k, v)| format!("{k}:{}", go_string(v)));
            format!("map[{}]", items.collect::<Vec<_>>().join(" "))
        }
        other => other.to_string(),
    }
}

/// The list of texts that `join` and `toStrings` make of a value; nil elements are left out.
pub(super) fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::List(items) => items
            .iter()
            .filter(|v| !matches!(v, Value::Nil))
            .map(go_string)
            .collect(),
        Value::Nil => Vec::new(),
        other => vec![go_string(other)],
    }
}

/// Whether Go's sprig counts a value as empty.
pub(super) fn is_empty(value: &Value) -> bool {
    !value.is_truthy()
}

/// The name `typeOf` gives.
pub(crate) fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Uint(_) => "uint",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::List(_) => "[]interface {}",
        Value::Map(_) => "map[string]interface {}",
        Value::Function(_) => "func",
    }
}

/// Decoded JSON as a template sees it: all numbers are floats, as after Go's `json.Unmarshal`.
pub(crate) fn from_json(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => Value::Float(n.as_f64().unwrap_or(f64::NAN)),
        Json::String(s) => text(s.as_str()),
        Json::Array(items) => list(items.iter().map(from_json).collect()),
        Json::Object(object) => map(object
            .iter()
            .map(|(k, v)| (Arc::from(k.as_str()), from_json(v)))
            .collect()),
    }
}

/// A template value as JSON; `None` for what Go cannot marshal.
pub(crate) fn to_json(value: &Value) -> Option<Json> {
    Some(match value {
        Value::Nil => Json::Null,
        Value::Bool(b) => Json::Bool(*b),
        Value::Int(i) => Json::from(*i),
        Value::Uint(u) => Json::from(*u),
        Value::Float(f) => go_text::json_number(*f)?,
        Value::String(s) => Json::String(s.to_string()),
        Value::List(items) => Json::Array(items.iter().map(to_json).collect::<Option<_>>()?),
        Value::Map(map) => Json::Object(
            map.iter()
                .map(|(k, v)| Some((k.to_string(), to_json(v)?)))
                .collect::<Option<_>>()?,
        ),
        Value::Function(_) => return None,
    })
}
