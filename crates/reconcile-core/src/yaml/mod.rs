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
//!   json      JSON text, which is YAML too, read faster and within the same limits
//!   budget    what is left of the limits of a stream
//!   write     JSON values into YAML text
//! ```

mod budget;
mod build;
mod json;
mod scalar;
mod split;
mod write;

#[cfg(test)]
mod tests;

use serde_json::Value;

use budget::Budget;
pub use write::to_string;

/// Bounds on what is read, so that a small file cannot fill the memory.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Largest input in bytes.
    pub bytes: usize,
    /// Most nodes of the whole input, the copies that anchors, aliases and merges make included.
    pub nodes: usize,
    /// Most bytes of texts and keys, the same copies included.
    pub text_bytes: usize,
    /// Most collections inside of each other, those that aliases repeat included: values are walked by functions that
    /// call themselves, and a stack that is too small for it ends the process.
    pub depth: usize,
}

impl Default for Limits {
    /// 32 MiB holds the largest bundles of CRDs many times over; a million nodes is about a hundred
    /// megabytes of values; twice the largest input leaves room for aliases; the schemas of CRDs are some 60 deep.
    fn default() -> Self {
        Self {
            bytes: 32 << 20,
            nodes: 1_000_000,
            text_bytes: 64 << 20,
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
    /// Whether a limit is exceeded, so that reading it in another way will not help either.
    pub limit: bool,
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
    check_length(text, limits)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(values) = json::stream(text, limits) {
        let document = |(at, value)| Document {
            index: at + 1,
            line: 1,
            value,
        };
        return Ok(values?.into_iter().enumerate().map(document).collect());
    }
    let mut found = Vec::new();
    let mut budget = Budget::new(limits);
    for piece in split::pieces(text)? {
        for value in build::values(&piece, &mut budget)? {
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

fn check_length(text: &str, limits: Limits) -> Result<(), YamlError> {
    if text.len() <= limits.bytes {
        return Ok(());
    }
    Err(YamlError {
        document: 1,
        line: 1,
        message: format!(
            "the input has {} bytes, more than {}",
            text.len(),
            limits.bytes
        ),
        limit: true,
    })
}

/// The content of all documents. See [`documents`].
pub fn values(text: &str) -> Result<Vec<Value>, YamlError> {
    Ok(documents(text)?
        .into_iter()
        .map(|document| document.value)
        .collect())
}

/// The only value of a JSON text, within the default limits.
pub fn json_value(text: &str) -> Result<Value, YamlError> {
    let limits = Limits::default();
    check_length(text, limits)?;
    json::value(text, limits)
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
                limit: false,
            })
        }
    }
}
