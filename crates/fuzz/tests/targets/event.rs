//! Messages of the bus.

use events::event::CloudEvent;
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        r#"{"specversion":"1.0","id":"1","source":"s","type":"webhook","subject":"e","time":"2024-02-29T00:00:00Z","datacontenttype":"application/json","data":{"a":1}}"#,
        r#"{"specversion":"1.0","id":"","source":"","type":"","data_base64":"aGk="}"#,
    ],
    tokens: &[
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "null",
        "\"data\":",
        "\"data_base64\":",
        "\"time\":",
        "9999-99-99",
        "\\ud800",
        "\"id\":1",
        "1e999",
    ],
};

#[test]
fn event() {
    fuzz::run(MATERIAL, |text| {
        if let Ok(event) = CloudEvent::decode(text.as_bytes()) {
            let _ = (event.context(), event.whole(), event.timestamp());
            let again = CloudEvent::decode(&event.encode());
            assert!(again.is_ok(), "what is encoded can be decoded: {again:?}");
        }
    });
}
