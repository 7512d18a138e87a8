//! How much is reachable from a value: what an evaluation may hold is bounded by it.

use super::{MAX_DEPTH, MAX_SIZE, Value};

/// Steps that walking over a value counts as.
pub(super) fn work(value: &Value) -> usize {
    /// Elements that can be compared in the time of one step.
    const PER_STEP: usize = 16;
    match value {
        Value::Str(_) | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Groups(_) => {
            weight(value, MAX_SIZE).size / PER_STEP
        }
        _ => 0,
    }
}

/// How much is reachable from a value.
pub(super) struct Weight {
    /// Elements and bytes.
    pub(super) size: usize,
    /// Levels of lists and maps.
    pub(super) depth: usize,
}

/// Weighs a value; stops counting at `limit`.
pub(super) fn weight(value: &Value, limit: usize) -> Weight {
    let mut size = 0_usize;
    let mut depth = 0;
    let mut pending = vec![(value, 0)];
    while let Some((value, level)) = pending.pop() {
        size += 1;
        depth = depth.max(level);
        let below = |value| (value, level + 1);
        match value {
            Value::Str(text) => size += text.len() / 8,
            Value::Bytes(bytes) => size += bytes.len() / 8,
            Value::List(items) => pending.extend(items.iter().map(below)),
            Value::Map(map) => pending.extend(map.values().map(below)),
            Value::Groups(groups) => {
                pending.extend(groups.iter().flat_map(|(k, v)| [k, v]).map(below));
            }
            _ => {}
        }
        if size >= limit || depth > MAX_DEPTH {
            break;
        }
    }
    Weight {
        size: size.min(limit),
        depth,
    }
}
