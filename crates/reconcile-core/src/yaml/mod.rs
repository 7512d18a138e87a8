//! YAML as the Go tools of Kubernetes read it, and a writer with a stable order.
//!
//! Manifests were written for `sigs.k8s.io/yaml`, which follows YAML 1.1 in its scalars: `yes` is a
//! boolean, `0644` is octal, `1_000` is a number, the last of two equal keys wins. A reader with other
//! rules would change what a manifest means, so this module has its own resolution of scalars on top
//! of an event parser; the rules are checked against recorded answers of Go
//! (`tests/baseline/yaml`).
//!
//! ```text
//!   split     a stream into documents, with the line each begins at
//!   build     parser events into JSON values: aliases, merge keys, limits
//!   scalar    what a plain scalar means
//!   write     JSON values into YAML text
//! ```

mod build;
mod scalar;
mod split;
mod write;

#[cfg(test)]
mod tests;

use serde_json::Value;

pub use write::to_string;

/// Bounds on what is read, so that a small file cannot fill the memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest input in bytes.
    pub bytes: usize,
    /// Most nodes of one document, those that aliases repeat included.
    pub nodes: usize,
    /// Most collections inside of each other, those that aliases repeat included: values are walked by functions that
    /// call themselves, and a stack that is too small for it ends the process.
    pub depth: usize,
}

impl Default for Limits {
    /// 32 MiB holds the largest bundles of CRDs many times over; a million nodes is about a hundred
    /// megabytes of values; the schemas of CRDs are some 60 deep.
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            nodes: 1_000_000,
            depth: 500,
        }
    }
}

/// Why a text is not YAML, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("document {document}, line {line}: {message}")]
pub struct YamlError {
    /// Position of the document in the stream, from 1.
    pub document: usize,
    /// Line in the whole input, from 1.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// One document of a stream.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Position in the stream from 1, empty documents counted.
    pub index: usize,
    /// The line it begins at, from 1.
    pub line: usize,
    /// Its content.
    pub value: Value,
}

/// Reads all documents of a stream with the default limits. Empty documents and `null` are skipped.
pub fn documents(text: &str) -> Result<Vec<Document>, YamlError> {
    documents_within(text, Limits::default())
}

/// [`documents`] with limits of the caller's choice.
pub fn documents_within(text: &str, limits: Limits) -> Result<Vec<Document>, YamlError> {
    if text.len() > limits.bytes {
        let message = format!(
            "the input has {} bytes, more than {}",
            text.len(),
            limits.bytes
        );
        return Err(YamlError {
            document: 1,
            line: 1,
            message,
        });
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(values) = json_stream(text) {
        let document = |(at, value)| Document {
            index: at + 1,
            line: 1,
            value,
        };
        return Ok(values.into_iter().enumerate().map(document).collect());
    }
    let mut found = Vec::new();
    for piece in split::pieces(text)? {
        for value in build::values(&piece, limits)? {
            if !value.is_null() {
                found.push(Document {
                    index: piece.index,
                    line: piece.line,
                    value,
                });
            }
        }
    }
    Ok(found)
}

/// The content of all documents. See [`documents`].
pub fn values(text: &str) -> Result<Vec<Value>, YamlError> {
    Ok(documents(text)?
        .into_iter()
        .map(|document| document.value)
        .collect())
}

/// The content of the first document that is not empty; `null` when there is none.
pub fn value(text: &str) -> Result<Value, YamlError> {
    Ok(documents(text)?
        .into_iter()
        .next()
        .map_or(Value::Null, |document| document.value))
}

/// [`documents`] for bytes, which must be UTF-8.
pub fn documents_of_bytes(bytes: &[u8]) -> Result<Vec<Document>, YamlError> {
    match std::str::from_utf8(bytes) {
        Ok(text) => documents(text),
        Err(error) => {
            let before = &bytes[..error.valid_up_to()];
            let line = before.split(|byte| *byte == b'\n').count();
            let message = "the text is not UTF-8".to_owned();
            Err(YamlError {
                document: 1,
                line,
                message,
            })
        }
    }
}

/// JSON objects one after the other are JSON and not YAML, as Kubernetes' decoder decides by the
/// first brace. `None` when they do not parse as such; YAML's flow style may still.
fn json_stream(text: &str) -> Option<Vec<Value>> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    serde_json::Deserializer::from_str(text)
        .into_iter::<Value>()
        .collect::<Result<_, _>>()
        .ok()
}
