//! Requests of services that call an endpoint: bodies of all hooks, with signatures that are not theirs.

use std::collections::BTreeMap;

use events::source::{
    BoundHook,
    hook::{ALL, Call},
};
use futures::executor::block_on;
use fuzz::Material;
use http::{HeaderMap, HeaderValue};
use reconcile_core::egress::EgressPolicy;
use serde_json::json;

const MATERIAL: Material = Material {
    examples: &[
        r#"{"Type":"Notification","MessageId":"m","TopicArn":"arn:aws:sns:eu-west-1:1:t","Message":"hi","Timestamp":"2026-01-01T00:00:00.000Z","SignatureVersion":"2","Signature":"AA==","SigningCertURL":"http://127.0.0.1/cert.pem"}"#,
        r#"{"Type":"SubscriptionConfirmation","TopicArn":"arn:aws:sns:eu-west-1:1:t","Token":"x","SubscribeURL":"http://127.0.0.1/"}"#,
        r#"{"ref":"refs/heads/main","repository":{"full_name":"o/a"},"project":{"name":"p"},"eventKey":"repo:refs_changed"}"#,
        r#"{"type":"url_verification","challenge":"c","token":"t"}"#,
        "command=%2Fdeploy&text=now&payload=%7B%22type%22%3A%22block_actions%22%7D",
        "Action=Publish&Message=%7B%22Records%22%3A%5B%7B%7D%5D%7D&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A1%3At",
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
        "1e999",
        "&",
        "=",
        "%",
        "%00",
        "%ff",
        "+",
        "\\ud800",
        "\\u0000",
        "\"Type\":",
        "\"Message\":",
        "\"challenge\":",
        "payload=",
        "Message=",
        "\u{e9}",
    ],
};

/// Settings of a hook without Secrets, but for what it insists on. What SNS asks for is refused before it is sent.
fn hook(key: &str) -> serde_json::Value {
    match key {
        "sns" => {
            json!({"topicArn": "arn:aws:sns:eu-west-1:1:t", "endpoint": "http://169.254.169.254/"})
        }
        "slack" => json!({"signingSecret": {"name": "s", "key": "k"}}),
        _ => json!({}),
    }
}

#[test]
fn hook_request() {
    let hooks: Vec<BoundHook> = ALL
        .iter()
        .map(|kind| BoundHook::check(kind, "spec.x.e", &hook(kind.key)).expect("settings"))
        .collect();
    let metadata = BTreeMap::new();
    fuzz::run(MATERIAL, |text| {
        let mut headers = HeaderMap::new();
        let type_ = if text.starts_with('{') {
            "application/json"
        } else {
            "application/x-www-form-urlencoded"
        };
        headers.insert("content-type", HeaderValue::from_static(type_));
        let start = text.lines().next().unwrap_or_default();
        if let Ok(value) = HeaderValue::from_str(start) {
            for name in [
                "x-hub-signature-256",
                "stripe-signature",
                "x-slack-signature",
                "x-github-event",
            ] {
                headers.insert(name, value.clone());
            }
        }
        for hook in &hooks {
            let call = Call {
                headers: &headers,
                body: text.as_bytes(),
                secrets: &[],
                metadata: &metadata,
                now: jiff::Timestamp::UNIX_EPOCH,
                egress: EgressPolicy::RefuseLocal {
                    flag: "--allow-link-local",
                },
            };
            let Ok(reaction) = block_on(hook.hook.receive(&call)) else {
                continue;
            };
            for event in reaction.events {
                let payload: Result<&serde_json::value::RawValue, _> =
                    serde_json::from_slice(&event.payload);
                assert!(payload.is_ok(), "{}: the payload is JSON", hook.kind.key);
            }
        }
    });
}
