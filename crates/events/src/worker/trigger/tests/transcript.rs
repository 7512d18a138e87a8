//! Effects of a trigger as lines of a transcript.

use serde_json::Value;

use crate::worker::trigger::messages::Place;

/// The names of the dependencies, in their order.
pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];

/// A message: dependency and sequence number.
pub(super) fn shown((sequence, dependency): Place) -> String {
    format!("{}={sequence}", NAMES[dependency])
}

/// What matters of a record.
pub(super) fn summary(key: &str, value: &[u8]) -> String {
    let json: Value = serde_json::from_slice(value).unwrap_or_default();
    if key.ends_with("/_ledger") {
        format!("consumed={} firing={}", json["consumed"], json["firing"])
    } else if key.ends_with("/_finished") {
        json["finished"].to_string()
    } else if let Some(sequence) = json.get("StreamSeq") {
        format!("sequence {sequence}")
    } else {
        String::from_utf8_lossy(value).into_owned()
    }
}
