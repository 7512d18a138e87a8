//! Values that must not be part of an error.

use reconcile_core::yaml;
use serde_json::Value;

use super::values::ValueFile;
use crate::api::HelmSource;

/// Parts of names whose values are hidden.
const NAMES: &[&str] = &[
    "pass", "secret", "token", "key", "cred", "auth", "private", "cert", "pwd",
];
/// Shorter texts are common; to hide them would make errors unreadable.
const SHORTEST: usize = 4;

/// The texts to hide: parameters, and values whose name says what they are.
pub(super) fn of(helm: &HelmSource, files: &[ValueFile]) -> Vec<String> {
    let mut found: Vec<String> = helm
        .parameters
        .iter()
        .map(|parameter| parameter.value.clone())
        .collect();
    for file in files {
        if let Ok(text) = std::str::from_utf8(&file.content)
            && let Ok(value) = yaml::value(text)
        {
            collect(&value, &mut found);
        }
    }
    found.retain(|text| text.len() >= SHORTEST);
    // A text that is a part of another one must not hide half of it.
    found.sort_by_key(|text| std::cmp::Reverse(text.len()));
    found.dedup();
    found
}

fn collect(value: &Value, found: &mut Vec<String>) {
    let mut pending = vec![(value, false)];
    while let Some((value, hidden)) = pending.pop() {
        match value {
            Value::Object(fields) => pending.extend(fields.iter().map(|(name, value)| {
                let name = name.to_lowercase();
                (
                    value,
                    hidden || NAMES.iter().any(|part| name.contains(part)),
                )
            })),
            Value::Array(items) => pending.extend(items.iter().map(|item| (item, hidden))),
            Value::String(text) if hidden => {
                found.push(text.clone());
                found.extend(text.lines().map(|line| line.trim().to_owned()));
            }
            Value::Number(number) if hidden => found.push(number.to_string()),
            _ => {}
        }
    }
}
