//! From text with manifests to targets.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use super::{
    MAX_MANIFEST_BYTES, Placement, RenderError, Scope, TargetSet, document, generate::Generated,
    renderer::ManifestFile, target::TargetBuilder,
};

/// The field with manifests that somebody sends along.
const LOCAL: &str = "operation.sync.manifests";

/// Bytes of memory of the targets of an Application. Aliases make manifests larger than the files.
const MAX_TARGET_BYTES: usize = 256 * 1024 * 1024;

/// The targets of all manifests; `scope` says whether a kind is namespaced. Files and objects are dropped one after
/// another: as trees, the objects of a large application take many times the memory of their text.
pub(super) fn targets(
    generated: Generated,
    placement: &Placement,
    interrupt: &AtomicBool,
    scope: impl Fn(&str, &str) -> Scope,
) -> Result<TargetSet, RenderError> {
    let Generated {
        manifests,
        types,
        remarks,
    } = generated;
    let mut builder = TargetBuilder::new(placement, scope);
    for file in manifests
        .iter()
        .filter(|file| may_define_kinds(&file.content))
    {
        objects(file)?
            .iter()
            .for_each(|object| builder.define(object));
    }
    for file in manifests {
        if interrupt.load(Ordering::Relaxed) {
            return Err(RenderError::Interrupted);
        }
        for object in objects(&file)? {
            builder.add(object);
        }
        if builder.size() > MAX_TARGET_BYTES {
            return Err(RenderError::File {
                path: file.path,
                reason: format!("the objects up to here take more than {MAX_TARGET_BYTES} bytes"),
            });
        }
    }
    Ok(TargetSet {
        types,
        remarks,
        ..builder.finish()
    })
}

/// The targets of manifests that somebody sends along, each of them an object.
pub fn local_targets(
    manifests: Vec<String>,
    placement: &Placement,
    interrupt: &AtomicBool,
    scope: impl Fn(&str, &str) -> Scope,
) -> Result<TargetSet, RenderError> {
    let bytes: usize = manifests.iter().map(String::len).sum();
    if bytes as u64 > MAX_MANIFEST_BYTES {
        return Err(RenderError::File {
            path: LOCAL.to_owned(),
            reason: format!("it has more than {MAX_MANIFEST_BYTES} bytes"),
        });
    }
    let manifests = manifests.into_iter().enumerate();
    let generated = Generated {
        manifests: manifests
            .map(|(index, text)| ManifestFile {
                path: format!("{LOCAL}[{index}]"),
                strict: true,
                content: text.into_bytes(),
            })
            .collect(),
        ..Generated::default()
    };
    targets(generated, placement, interrupt, scope)
}

/// False when it is certain that the file holds no definition of a kind. UTF-16 is not looked into.
fn may_define_kinds(content: &[u8]) -> bool {
    const WORD: &[u8] = b"CustomResourceDefinition";
    content.starts_with(&[0xff])
        || content.starts_with(&[0xfe])
        || content.windows(WORD.len()).any(|part| part == WORD)
}

fn objects(file: &ManifestFile) -> Result<Vec<Value>, RenderError> {
    let parsed = if file.strict {
        document::parse_strict(&file.content)
    } else {
        document::parse(&file.path, &file.content)
    };
    let objects = parsed.map_err(|reason| RenderError::File {
        path: file.path.clone(),
        reason,
    })?;
    for object in &objects {
        require(&file.path, object)?;
    }
    Ok(objects)
}

fn require(path: &str, object: &Value) -> Result<(), RenderError> {
    let missing = |field| RenderError::Incomplete {
        path: path.to_owned(),
        field,
    };
    let text = |value: Option<&Value>| {
        value
            .and_then(Value::as_str)
            .is_some_and(|text| !text.is_empty())
    };
    if !text(object.get("apiVersion")) {
        return Err(missing("apiVersion"));
    }
    if !text(object.get("kind")) {
        return Err(missing("kind"));
    }
    let metadata = object.get("metadata").ok_or_else(|| missing("metadata"))?;
    if let Some(name) = metadata
        .get("name")
        .filter(|name| !name.is_null() && !name.is_string())
    {
        return Err(RenderError::File {
            path: path.to_owned(),
            reason: format!(
                "metadata.name is {}, not text: put it in quotes",
                kind_of_value(name)
            ),
        });
    }
    if !text(metadata.get("name")) && !text(metadata.get("generateName")) {
        return Err(missing("metadata.name"));
    }
    Ok(())
}

fn kind_of_value(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::Array(_) => "a list",
        _ => "a map",
    }
}
