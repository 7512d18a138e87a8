//! How commands print events.

use jiff::Timestamp;
use serde_json::{Map, Value, json, value::RawValue};

use crate::{bus::Message, event::CloudEvent};

/// Characters of a payload on a line for people.
const SHOWN: usize = 160;

/// An event of the bus on one line for people.
pub(super) fn line(message: &Message) -> String {
    let stored = seconds(message.stored);
    match CloudEvent::decode(&message.body) {
        Ok(event) => format!(
            "{stored} {:>8} {}/{} {} {}",
            message.sequence,
            event.source,
            event.subject,
            event.id,
            shortened(&String::from_utf8_lossy(&event.data))
        ),
        Err(error) => format!(
            "{stored} {:>8} {} {error}",
            message.sequence, message.subject
        ),
    }
}

/// An event of the bus as one JSON object: its context, and the payload as it stands where it is JSON.
pub(super) fn json(message: &Message) -> String {
    let mut object = json!({
        "sequence": message.sequence,
        "stored": message.stored.to_string(),
        "subject": message.subject,
    });
    match CloudEvent::decode(&message.body) {
        Ok(event) => {
            object["event"] = event.context();
            with_data(&object, &event)
        }
        Err(error) => {
            object["problem"] = json!(error.to_string());
            object.to_string()
        }
    }
}

/// The object with the payload as its last member, digit for digit.
fn with_data(object: &Value, event: &CloudEvent) -> String {
    let text = String::from_utf8_lossy(&event.data);
    let raw =
        serde_json::from_str::<&RawValue>(&text).map(|raw| raw.get().replace(['\n', '\r'], " "));
    let data = raw.unwrap_or_else(|_| Value::String(text.into_owned()).to_string());
    let mut head = object.to_string();
    head.pop();
    format!("{head},\"data\":{data}}}")
}

/// A payload on one line of bounded length.
pub(super) fn shortened(text: &str) -> String {
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match one_line.char_indices().nth(SHOWN) {
        None => one_line,
        Some((end, _)) => format!("{}...", &one_line[..end]),
    }
}

/// A time to the second.
pub(super) fn seconds(time: Timestamp) -> String {
    format!("{time:.0}")
}

/// The events of a dead letter: one under no name, or several by dependency. Empty for one that holds none.
pub(super) fn events(body: &[u8]) -> Vec<(String, Value)> {
    let Ok(Value::Object(members)) = serde_json::from_slice::<Value>(body) else {
        return Vec::new();
    };
    if is_event(&members) {
        return vec![(String::new(), Value::Object(members))];
    }
    let events = members.into_iter();
    events
        .filter(|(_, event)| event.as_object().is_some_and(is_event))
        .collect()
}

fn is_event(members: &Map<String, Value>) -> bool {
    members.get("specversion").is_some_and(Value::is_string)
}

#[cfg(test)]
mod tests {
    use async_nats::HeaderMap;

    use super::*;

    fn message(body: &str) -> Message {
        Message {
            sequence: 7,
            stored: "2026-01-02T03:04:05.6Z".parse().expect("a time"),
            subject: "default.src.e".into(),
            headers: HeaderMap::new(),
            body: body.to_owned().into(),
        }
    }

    #[test]
    fn payloads_are_shown_digit_for_digit() {
        let body = r#"{"specversion":"1.0","id":"1","source":"src","type":"t","subject":"e","data":{"n": 12345678901234567890}}"#;
        let shown = json(&message(body));
        assert!(
            shown.ends_with(r#","data":{"n": 12345678901234567890}}"#),
            "{shown}"
        );
        serde_json::from_str::<Value>(&shown).expect("JSON");
        let line = line(&message(body));
        assert!(
            line.ends_with("src/e 1 {\"n\": 12345678901234567890}"),
            "{line}"
        );
    }

    #[test]
    fn what_is_no_event_is_shown_with_the_reason() {
        assert!(json(&message("hello")).contains("problem"));
        assert!(line(&message("hello")).contains("default.src.e not a CloudEvent"));
    }

    #[test]
    fn letters_hold_one_event_or_several_by_dependency() {
        let one = r#"{"specversion":"1.0","id":"1"}"#;
        assert_eq!(events(one.as_bytes()).len(), 1);
        let names: Vec<String> = events(format!("{{\"a\":{one},\"b\":{one},\"c\":1}}").as_bytes())
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(names, ["a", "b"]);
        assert!(events(b"hello").is_empty());
        assert_eq!(shortened(&"x ".repeat(200)).len(), SHOWN + 3);
    }
}
