//! Fields of an object that decide whether an action is possible.

use serde_json::Value;

pub(super) fn is_true(object: &Value, pointer: &str) -> bool {
    object.pointer(pointer).and_then(Value::as_bool) == Some(true)
}

pub(super) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"].get(key)?.as_str()
}

pub(super) fn conditions(object: &Value) -> &[Value] {
    let conditions = object.pointer("/status/conditions");
    conditions
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}
