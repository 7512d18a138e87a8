//! How large a value is.

use serde_json::Value;

use super::JqError;

/// New values nest no deeper: whatever walks them calls itself for each level.
const MAX_LEVELS: usize = 256;
/// Bytes of text that count as one value.
const TEXT_UNIT: usize = 32;

/// Values in `value`, itself included; long texts count several times.
pub(super) fn size(value: &Value) -> Result<usize, JqError> {
    let mut open = vec![(value, 1)];
    let mut total = 0;
    while let Some((value, level)) = open.pop() {
        if level > MAX_LEVELS {
            return Err(JqError::TooMany);
        }
        total += 1;
        match value {
            Value::String(text) => total += text.len() / TEXT_UNIT,
            Value::Array(items) => open.extend(items.iter().map(|item| (item, level + 1))),
            Value::Object(fields) => {
                total += fields
                    .keys()
                    .map(|key| key.len() / TEXT_UNIT)
                    .sum::<usize>();
                open.extend(fields.values().map(|field| (field, level + 1)));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    Ok(total)
}
