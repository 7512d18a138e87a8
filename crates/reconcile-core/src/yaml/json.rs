//! JSON values within a [`Budget`]: a list of zeros is sixteen times as large in memory as in text.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, value::RawValue};

use super::{Limits, YamlError, budget::Budget};

/// JSON objects one after the other are JSON and not YAML, as Kubernetes' decoder decides by the
/// first brace. `None` when they do not parse as such; YAML's flow style may still.
pub(super) fn stream(text: &str, limits: Limits) -> Option<Result<Vec<Value>, YamlError>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut reader = Reader::new(limits);
    let mut values = Vec::new();
    for part in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        match reader.seed().deserialize(part.ok()?) {
            Ok(value) => values.push(value),
            Err(error) => {
                let exceeded = reader.exceeded.take();
                let failed = |message| failed(values.len() + 1, error.line(), message, true);
                return exceeded.map(|message| Err(failed(message)));
            }
        }
    }
    Some(Ok(values))
}

/// The only value of a JSON text.
pub(super) fn value(text: &str, limits: Limits) -> Result<Value, YamlError> {
    let mut reader = Reader::new(limits);
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = reader.seed().deserialize(&mut deserializer);
    let value = value.and_then(|value| deserializer.end().map(|()| value));
    value.map_err(|error| {
        let exceeded = reader.exceeded.take();
        let limit = exceeded.is_some();
        let message = exceeded.unwrap_or_else(|| error.to_string());
        failed(1, error.line(), message, limit)
    })
}

fn failed(document: usize, line: usize, message: String, limit: bool) -> YamlError {
    YamlError {
        document,
        line: line.max(1),
        message,
        limit,
    }
}

struct Reader {
    budget: Budget,
    /// Which limit was exceeded.
    exceeded: Option<String>,
}

impl Reader {
    fn new(limits: Limits) -> Self {
        Self {
            budget: Budget::new(limits),
            exceeded: None,
        }
    }

    fn seed(&mut self) -> Seed<'_> {
        Seed(self)
    }

    fn count<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.budget.count(bytes).map_err(|message| {
            let error = E::custom(&message);
            self.exceeded = Some(message);
            error
        })
    }
}

/// Reads one value. The depth is bounded by `serde_json`.
struct Seed<'r>(&'r mut Reader);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.0.count(0)?;
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.0.count(0)?;
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.0.count(0)?;
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.0.count(0)?;
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.0.count(value.len())?;
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E: Error>(self, value: String) -> Result<Value, E> {
        self.0.count(value.len())?;
        Ok(Value::String(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.0.count(0)?;
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        self.0.count(0)?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Seed(self.0))? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.0.count(0)?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.0.count(key.len())?;
            map.insert(key, entries.next_value_seed(Seed(self.0))?);
        }
        Ok(Value::Object(map))
    }
}
