//! Health checks from the settings.

use expressions::lua::{Libraries, Limits, Script, run};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Code, Health, Subject};
use crate::settings::LuaText;

/// What upstream answers when a script gives no known word.
const INVALID: &str = "Lua returned an invalid health status";

/// Runs a check. A script that fails makes the object unknown; the message names the key and the line.
pub(super) fn assess(check: &LuaText, subject: &Subject<'_>, now: Timestamp) -> Option<Health> {
    let object = whole_object(subject);
    let script = Script {
        source: &check.source,
        libraries: if check.open_libraries {
            Libraries::Open
        } else {
            Libraries::Safe
        },
    };
    let value = off_worker(|| run(&script, &[("obj", &object)], now, &Limits::default()));
    match value {
        // No answer is no health.
        Ok(Value::Null) => None,
        Ok(value) if value.is_object() => Some(from_table(&value)),
        Ok(Value::Array(items)) if items.is_empty() => Some(Health::new(Code::Unknown, INVALID)),
        Ok(_) => Some(failed(check, "the script returns no table")),
        Err(error) => Some(failed(check, error)),
    }
}

fn failed(check: &LuaText, reason: impl std::fmt::Display) -> Health {
    Health::new(Code::Unknown, format!("{}: {reason}", check.key))
}

fn from_table(value: &Value) -> Health {
    let message = match &value["message"] {
        Value::String(text) => text.as_str(),
        _ => "",
    };
    match value["status"].as_str().and_then(Code::from_word) {
        Some(code) => Health::new(code, message),
        None => Health::new(Code::Unknown, INVALID),
    }
}

/// The object as the API server has it.
fn whole_object(subject: &Subject<'_>) -> Value {
    let mut object = match subject.body {
        Value::Object(fields) => fields.clone(),
        _ => serde_json::Map::new(),
    };
    let api_version = match subject.group {
        "" => subject.version.to_owned(),
        group => format!("{group}/{}", subject.version),
    };
    object.insert("apiVersion".to_owned(), api_version.into());
    object.insert("kind".to_owned(), subject.kind.into());
    let metadata = serde_json::to_value(subject.metadata).unwrap_or_else(|_| json!({}));
    object.insert("metadata".to_owned(), metadata);
    Value::Object(object)
}

/// Runs `work` without holding up a worker of the async runtime: the worker hands its other tasks on first.
fn off_worker<T>(work: impl FnOnce() -> T) -> T {
    use tokio::runtime::{Handle, RuntimeFlavor};
    let flavor = Handle::try_current().map(|handle| handle.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}
