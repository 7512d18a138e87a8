//! The object whose health is asked for.

use kube::api::ObjectMeta;
use serde_json::Value;

use super::value::at;

/// A live object. `body` holds everything but the metadata.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// Group; empty for the core group.
    pub group: &'a str,
    /// Version without the group.
    pub version: &'a str,
    /// Kind.
    pub kind: &'a str,
    /// Metadata.
    pub metadata: &'a ObjectMeta,
    /// `spec`, `status` and every other field.
    pub body: &'a Value,
}

impl<'a> Subject<'a> {
    /// The value at a dotted path such as `status.phase`. Metadata is not in reach.
    pub(super) fn at(&self, path: &str) -> &'a Value {
        path.split('.').fold(self.body, |value, name| {
            value.get(name).unwrap_or(&Value::Null)
        })
    }

    /// The text at a dotted path; empty when absent.
    pub(super) fn text(&self, path: &str) -> &'a str {
        self.at(path).as_str().unwrap_or_default()
    }

    /// The number at a dotted path; 0 when absent.
    pub(super) fn int(&self, path: &str) -> i64 {
        self.at(path).as_i64().unwrap_or_default()
    }

    /// The list at a dotted path; empty when absent.
    pub(super) fn list(&self, path: &str) -> &'a [Value] {
        self.at(path).as_array().map_or(&[], Vec::as_slice)
    }

    /// `status.conditions`.
    pub(super) fn conditions(&self) -> &'a [Value] {
        self.list("status.conditions")
    }

    /// The value of an annotation.
    pub(super) fn annotation(&self, key: &str) -> Option<&'a str> {
        let annotations = self.metadata.annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    }

    /// The value of a label.
    pub(super) fn label(&self, key: &str) -> Option<&'a str> {
        self.metadata.labels.as_ref()?.get(key).map(String::as_str)
    }

    /// The status describes an older spec.
    pub(super) fn is_behind(&self) -> bool {
        let observed = at(self.body, &["status", "observedGeneration"]).as_i64();
        observed
            .zip(self.metadata.generation)
            .is_some_and(|(observed, generation)| observed < generation)
    }
}
