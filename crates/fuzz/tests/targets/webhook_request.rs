//! Requests to webhooks of EventSources: headers, forms and queries.

use events::source::request::{form_as_json, headers_as_go};
use fuzz::Material;
use http::{HeaderMap, HeaderName, HeaderValue};

const MATERIAL: Material = Material {
    examples: &[
        "a=1&a=2&b=x+y%21&c&d=100%",
        "X-GitHub-Event: push\nAuthorization: Bearer s3cret\nHost: x\nx-a: 1\nx-a: 2",
    ],
    tokens: &[
        "&",
        "=",
        "+",
        "%",
        "%2",
        "%00",
        "%ff",
        "%u1234",
        ": ",
        "\n",
        "-",
        "Authorization: Basic s3cret\n",
        "host:",
        "\u{e9}",
    ],
};

#[test]
fn webhook_request() {
    fuzz::run(MATERIAL, |text| {
        if let Ok(form) = form_as_json(text) {
            let form: serde_json::Value =
                serde_json::from_slice(&form).expect("a form is a map in JSON");
            assert!(form.is_object());
        }
        let mut headers = HeaderMap::new();
        for line in text.lines().take(100) {
            let (name, value) = line.split_once(": ").unwrap_or((line, ""));
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value.as_bytes()),
            ) {
                headers.append(name, value);
            }
        }
        let shown = headers_as_go(&headers);
        assert!(!shown.contains_key("Host"), "{shown:?}");
        if let Some(values) = shown.get("Authorization") {
            assert_eq!(values.len(), 1, "the credential is masked");
            assert!(values.iter().all(|value| value.starts_with("***")));
        }
    });
}
