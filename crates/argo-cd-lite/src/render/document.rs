//! One file to objects.

use reconcile_core::yaml;
use serde_json::Value;

/// A file that holds this text anywhere is not read.
const SKIP_MARK: &str = "+argocd:skip-file-rendering";

/// True for a file that asks not to be read.
pub(super) fn is_skipped(content: &[u8]) -> bool {
    decode(content).is_ok_and(|text| has_skip_mark(&text))
}

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
        let object = yaml::json_value(&text).map_err(|error| error.message)?;
        if !object.is_object() {
            return Err("a JSON file must hold exactly one object".to_owned());
        }
        flatten(object, &mut objects);
        return Ok(objects);
    }
    let documents = match yaml::values(&text) {
        Ok(documents) => documents,
        Err(error) if error.limit => return Err(error.to_string()),
        Err(error) => {
            return refuse_or_ignore(&text, error.to_string(), some_document_is_fine(&text));
        }
    };
    let (mut other, mut broken) = (false, false);
    for document in documents {
        if kind_of(&document).is_some() {
            flatten(document, &mut objects);
            continue;
        }
        // An empty document separates others.
        other |= !is_empty(&document);
        // The kind was forgotten: to leave the object out would prune it.
        broken |= document.get("apiVersion").is_some() && document.get("metadata").is_some();
    }
    if other {
        let reason = "a document has no kind".to_owned();
        return refuse_or_ignore(&text, reason, broken || !objects.is_empty());
    }
    Ok(objects)
}

/// The objects that a program wrote: whatever is there has to be one.
pub(super) fn parse_strict(content: &[u8]) -> Result<Vec<Value>, String> {
    let text = decode(content)?;
    let mut objects = Vec::new();
    for document in yaml::values(&text).map_err(|error| error.to_string())? {
        if document.is_null() {
            continue;
        }
        if kind_of(&document).is_none() {
            return Err("a document has no kind".to_owned());
        }
        flatten(document, &mut objects);
    }
    Ok(objects)
}

/// Templates and values files live beside manifests. A file that cannot be read as manifests is an error only when it
/// looks like one, or when a part of it is one.
fn refuse_or_ignore(text: &str, reason: String, partly: bool) -> Result<Vec<Value>, String> {
    let like_a_manifest = ["apiVersion:", "kind:", "metadata:"]
        .iter()
        .all(|word| text.contains(word));
    if like_a_manifest || partly {
        Err(reason)
    } else {
        Ok(Vec::new())
    }
}

fn kind_of(document: &Value) -> Option<&str> {
    document
        .get("kind")
        .and_then(Value::as_str)
        .filter(|kind| !kind.is_empty())
}

fn is_empty(document: &Value) -> bool {
    document.is_null() || document.as_object().is_some_and(serde_json::Map::is_empty)
}

fn has_skip_mark(text: &str) -> bool {
    text.lines()
        .any(|line| line.trim_start().starts_with('#') && line.contains(SKIP_MARK))
}

fn some_document_is_fine(text: &str) -> bool {
    let mut parts = text.split("\n---");
    parts.any(|part| yaml::values(part).is_ok_and(|values| values.iter().any(Value::is_object)))
}

/// Lists are taken apart, also lists of lists; an empty one is nothing.
fn flatten(object: Value, into: &mut Vec<Value>) {
    let mut pending = vec![object];
    while let Some(object) = pending.pop() {
        let is_list = kind_of(&object).is_some_and(|kind| kind.ends_with("List"));
        match object {
            Value::Object(mut fields) if is_list && fields.contains_key("items") => {
                match fields.remove("items") {
                    // From the end, because the last one is taken first.
                    Some(Value::Array(items)) => pending.extend(items.into_iter().rev()),
                    None | Some(Value::Null) => {}
                    Some(items) => {
                        fields.insert("items".to_owned(), items);
                        into.push(Value::Object(fields));
                    }
                }
            }
            other => into.push(other),
        }
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
