//! Lists, and the selectors of lists and watches.

use serde_json::{Value, json};

use super::{Answer, failure, shown};
use crate::{
    kube_types::Selector,
    testkit::{
        call::Call,
        kinds::FakeKind,
        store::{Id, Store},
    },
};

/// Label and field selectors of a request.
pub(in crate::testkit) struct Filter {
    labels: Selector,
    fields: Vec<(String, String, bool)>,
    group: String,
    plural: String,
    namespace: String,
}

impl Filter {
    pub(in crate::testkit) fn of(call: &Call) -> Result<Self, Answer> {
        let bad = |text: String| failure(400, "BadRequest", &text);
        let labels = call
            .parameter("labelSelector")
            .parse()
            .map_err(|error| bad(format!("unable to parse the label selector: {error}")))?;
        let mut fields = Vec::new();
        for part in call
            .parameter("fieldSelector")
            .split(',')
            .filter(|part| !part.is_empty())
        {
            let (path, value, equal) = if let Some((path, value)) = part.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = part.split_once('=') {
                (path, value.trim_start_matches('='), true)
            } else {
                return Err(bad(format!("invalid field selector {part:?}")));
            };
            fields.push((path.to_owned(), value.to_owned(), equal));
        }
        let (group, plural) = (call.group.clone(), call.plural.clone());
        Ok(Self {
            labels,
            fields,
            group,
            plural,
            namespace: call.namespace.clone(),
        })
    }

    pub(in crate::testkit) fn takes(&self, id: &Id, object: &Value) -> bool {
        let place = id.group == self.group
            && id.plural == self.plural
            && (self.namespace.is_empty() || id.namespace == self.namespace);
        let labels = &object["metadata"]["labels"];
        let field = |path: &str| {
            let pointer = format!("/{}", path.replace('.', "/"));
            let found = object.pointer(&pointer).cloned().unwrap_or(Value::Null);
            found.as_str().map_or_else(
                || {
                    if found.is_null() {
                        String::new()
                    } else {
                        found.to_string()
                    }
                },
                str::to_owned,
            )
        };
        place
            && self.labels.matches_with(|key| labels[key].as_str())
            && self
                .fields
                .iter()
                .all(|(path, value, equal)| (field(path) == *value) == *equal)
    }
}

pub(super) fn list(store: &Store, call: &Call, kind: &FakeKind) -> Answer {
    let filter = match Filter::of(call) {
        Ok(filter) => filter,
        Err(answer) => return answer,
    };
    let found: Vec<(&Id, &Value)> = store
        .objects
        .iter()
        .map(|(id, stored)| (id, &stored.object))
        .filter(|(id, object)| filter.takes(id, object))
        .collect();
    // The continue token is the position; that the list may change between pages is part of life.
    let start: usize = call.parameter("continue").parse().unwrap_or(0);
    let limit: usize = call.parameter("limit").parse().unwrap_or(usize::MAX).max(1);
    let page: Vec<Value> = found
        .iter()
        .skip(start)
        .take(limit)
        .map(|(_, object)| shown((*object).clone(), call))
        .collect();
    let next = start.saturating_add(page.len());
    let mut metadata = json!({"resourceVersion": store.version.to_string()});
    if next < found.len() {
        metadata["continue"] = json!(next.to_string());
        metadata["remainingItemCount"] = json!(found.len() - next);
    }
    let (list_kind, api_version) = if call.metadata_only {
        (
            "PartialObjectMetadataList".to_owned(),
            "meta.k8s.io/v1".to_owned(),
        )
    } else {
        (format!("{}List", kind.kind), kind.api_version())
    };
    (
        200,
        json!({"kind": list_kind, "apiVersion": api_version, "metadata": metadata, "items": page}),
    )
}
