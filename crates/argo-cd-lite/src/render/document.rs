//! One file to objects.

use reconcile_core::yaml;
use serde_json::Value;

/// A file that holds this text anywhere is not read.
const SKIP_MARK: &str = "+argocd:skip-file-rendering";

/// The objects of a file, or why it cannot be read; the caller knows the path.
pub(super) fn parse(path: &str, content: &[u8]) -> Result<Vec<Value>, String> {
    let text = decode(content)?;
    if has_skip_mark(&text) {
        return Ok(Vec::new());
    }
    let mut objects = Vec::new();
    if path
        .rsplit_once('.')
        .is_some_and(|(_, kind)| kind == "json")
    {
        let object: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if !object.is_object() {
            return Err("a JSON file must hold exactly one object".to_owned());
        }
        flatten(object, &mut objects);
        return Ok(objects);
    }
    let documents = match yaml::values(&text) {
        Ok(documents) => documents,
        Err(error) => {
            // Templates and values files live beside manifests; only what looks like a manifest is an
            // error.
            let like_a_manifest = ["apiVersion:", "kind:", "metadata:"]
                .iter()
                .all(|word| text.contains(word));
            return if like_a_manifest || some_document_is_fine(&text) {
                Err(error.to_string())
            } else {
                Ok(Vec::new())
            };
        }
    };
    for document in documents {
        if document
            .as_object()
            .is_some_and(|object| !object.is_empty())
        {
            flatten(document, &mut objects);
        } else if !document.is_null() && !document.is_object() {
            return Err("a document is not an object".to_owned());
        }
    }
    Ok(objects)
}

fn has_skip_mark(text: &str) -> bool {
    text.lines()
        .any(|line| line.trim_start().starts_with('#') && line.contains(SKIP_MARK))
}

fn some_document_is_fine(text: &str) -> bool {
    let mut parts = text.split("\n---");
    parts.any(|part| yaml::values(part).is_ok_and(|values| values.iter().any(Value::is_object)))
}

/// Lists are taken apart; an empty one is nothing.
fn flatten(object: Value, into: &mut Vec<Value>) {
    let is_list = object
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("List"));
    match object {
        Value::Object(mut fields)
            if is_list && fields.get("items").is_some_and(Value::is_array) =>
        {
            if let Some(Value::Array(items)) = fields.remove("items") {
                for item in items {
                    flatten(item, into);
                }
            }
        }
        other => into.push(other),
    }
}

/// UTF-8, or UTF-16 with a byte order mark.
fn decode(content: &[u8]) -> Result<String, String> {
    let wide = |to: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units: Vec<u16> = bytes
            .chunks_exact(2)
            .map(|pair| to([pair[0], pair[1]]))
            .collect();
        String::from_utf16(&units).map_err(|error| error.to_string())
    };
    match content {
        [0xff, 0xfe, rest @ ..] => wide(u16::from_le_bytes, rest),
        [0xfe, 0xff, rest @ ..] => wide(u16::from_be_bytes, rest),
        [0xef, 0xbb, 0xbf, rest @ ..] | rest => {
            String::from_utf8(rest.to_vec()).map_err(|_| "the file is not UTF-8 text".to_owned())
        }
    }
}
