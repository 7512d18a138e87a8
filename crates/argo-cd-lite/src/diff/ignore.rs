//! `ignoreDifferences`: fields whose difference does not count.

use expressions::glob;
use serde_json::Value;

use crate::{
    api::IgnoreDifference,
    cluster::{ResourceId, content_hash},
    settings::Customizations,
};

/// Whether what admission webhooks write into the answer of a dry run is a difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WebhookChanges {
    /// It is not.
    #[default]
    Ignore,
    /// It is: `IncludeMutationWebhook=true` among the compare options of the Application.
    Count,
}

/// The rules of one application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IgnoreRules {
    rules: Vec<IgnoreDifference>,
    webhooks: WebhookChanges,
}

impl IgnoreRules {
    /// The rules of a spec.
    pub fn new(rules: &[IgnoreDifference], webhooks: WebhookChanges) -> Self {
        Self {
            rules: rules.to_vec(),
            webhooks,
        }
    }

    /// Whether changes by admission webhooks count.
    pub fn webhooks(&self) -> WebhookChanges {
        self.webhooks
    }

    /// These rules and those of the settings.
    #[must_use]
    pub fn with_settings(mut self, customizations: &Customizations) -> Self {
        self.rules.extend(customizations.ignore_rules());
        self
    }

    /// JSON pointers that apply to an object. Group and kind are globs; name and namespace are exact, and
    /// an empty one fits all.
    pub fn pointers(&self, id: &ResourceId) -> Vec<&str> {
        self.rules
            .iter()
            .filter(|rule| {
                glob::answer(&rule.group, &id.kind.group, &[]).allows()
                    && glob::answer(&rule.kind, &id.kind.kind, &[]).allows()
                    && (rule.name.is_empty() || *rule.name == *id.name)
                    && (rule.namespace.is_empty() || *rule.namespace == *id.namespace)
            })
            .flat_map(|rule| rule.json_pointers.iter().map(String::as_str))
            .collect()
    }

    /// A number that changes when the rules for an object do; 0 without rules.
    pub fn hash(&self, id: &ResourceId) -> u64 {
        let pointers = self.pointers(id);
        let counted = self.webhooks == WebhookChanges::Count;
        if pointers.is_empty() {
            return u64::from(counted);
        }
        content_hash(&Value::from(pointers)) ^ u64::from(counted)
    }
}

/// Removes what `pointer` leads to; a path that is not there is fine.
pub(crate) fn remove(value: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else {
        return;
    };
    let last = last.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(parent) {
        Some(Value::Object(fields)) => drop(fields.remove(&last)),
        Some(Value::Array(items)) => {
            if let Ok(index) = last.parse::<usize>()
                && index < items.len()
            {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// Copies what `pointer` leads to in `live` into `target`, so that applying does not change it. What is not
/// there is not applied either.
pub fn keep_live(target: &mut Value, live: &Value, pointer: &str) {
    if pointer.starts_with("/status") {
        return;
    }
    let Some(value) = live.pointer(pointer) else {
        remove(target, pointer);
        return;
    };
    let mut at = target;
    let mut parts = pointer.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let key = part.replace("~1", "/").replace("~0", "~");
        let next = match at {
            Value::Object(fields) if parts.peek().is_none() => {
                fields.insert(key, value.clone());
                return;
            }
            Value::Object(fields) => fields
                .entry(key)
                .or_insert_with(|| Value::Object(serde_json::Map::new())),
            Value::Array(items) => match key
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index))
            {
                Some(item) if parts.peek().is_none() => {
                    *item = value.clone();
                    return;
                }
                Some(item) => item,
                None => return,
            },
            _ => return,
        };
        at = next;
    }
}
