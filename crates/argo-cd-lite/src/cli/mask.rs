//! Secrets in a diff: that a value differs is shown, never the value.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

const SAME: &str = "++++++++";
const LIVE: &str = "++++++++ (live)";
const TARGET: &str = "++++++++ (target)";

/// Hides the values of a Secret on both sides; they were folded before.
pub(super) fn mask(live: Option<&mut Value>, target: Option<&mut Value>) {
    let mut sides: Vec<(&mut Value, &str)> = [(live, LIVE), (target, TARGET)]
        .into_iter()
        .filter_map(|(object, word)| Some((object?, word)))
        .filter(|(object, _)| is_secret(object))
        .collect();
    let data: Vec<Map<String, Value>> = sides
        .iter()
        .map(|(object, _)| object["data"].as_object().cloned().unwrap_or_default())
        .collect();
    for (at, (object, word)) in sides.iter_mut().enumerate() {
        let other = data.iter().enumerate().find(|(index, _)| *index != at);
        let Some(fields) = object.get_mut("data").and_then(Value::as_object_mut) else {
            continue;
        };
        for (name, value) in fields {
            let differs = other
                .and_then(|(_, data)| data.get(name))
                .is_some_and(|other| other != value);
            *value = if differs { *word } else { SAME }.into();
        }
    }
}

fn is_secret(object: &Value) -> bool {
    object["kind"] == "Secret" && object["apiVersion"] == "v1"
}

/// Folds `stringData` of a Secret into `data`, as the API server does.
pub(super) fn fold(object: Option<&mut Value>) {
    let Some(object) = object.filter(|object| is_secret(object)) else {
        return;
    };
    let Some(Value::Object(texts)) = object
        .as_object_mut()
        .and_then(|fields| fields.remove("stringData"))
    else {
        return;
    };
    if !object["data"].is_object() {
        object["data"] = Value::Object(Map::new());
    }
    for (name, text) in texts {
        let encoded = STANDARD.encode(text.as_str().unwrap_or_default());
        object["data"][name] = encoded.into();
    }
}
