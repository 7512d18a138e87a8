//! What the services send, what becomes of it, and what is refused. Signatures were made with OpenSSL.

mod questions;
mod sns;

use std::collections::BTreeMap;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use reconcile_core::{egress::EgressPolicy, secret::Secret};
use serde_json::{Value, json};

use super::{ALL, BoundHook, Call, Reaction};
use crate::source::request::Answer;

const REFUSE: EgressPolicy = EgressPolicy::RefuseLinkLocal {
    flag: "--allow-link-local",
};
/// 2026-01-02T03:04:05Z.
const NOW: i64 = 1_767_323_045;

/// A request to the service `key` with these settings; each Secret of it is `hush`, that of `token` is `t`.
async fn call(
    key: &str,
    settings: Value,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Reaction, Answer> {
    let kind = ALL.iter().find(|kind| kind.key == key).expect("a service");
    let hook = BoundHook::check(kind, "spec.x.y", &settings).expect("good settings");
    let secrets = hook.hook.secrets();
    let secrets: Vec<_> = secrets
        .iter()
        .map(|(field, _)| {
            (
                *field,
                Secret::from(if *field == "token" { "t" } else { "hush" }),
            )
        })
        .collect();
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| {
            (
                name.parse::<HeaderName>().expect("a name"),
                value.parse::<HeaderValue>().expect("a value"),
            )
        })
        .collect();
    let call = Call {
        headers: &headers,
        body: body.as_bytes(),
        secrets: &secrets,
        metadata: &BTreeMap::from([("team".to_owned(), "a".to_owned())]),
        now: jiff::Timestamp::from_second(NOW).expect("a time"),
        egress: REFUSE,
    };
    hook.hook.receive(&call).await
}

/// The one payload and its id.
fn one(reaction: Result<Reaction, Answer>) -> (Option<String>, String) {
    let mut events = reaction.expect("accepted").events;
    assert_eq!(events.len(), 1);
    let event = events.remove(0);
    (
        event.id,
        String::from_utf8(event.payload.into()).expect("UTF-8"),
    )
}

fn status(reaction: Result<Reaction, Answer>) -> StatusCode {
    reaction.expect_err("refused").0
}

fn secret() -> Value {
    json!({"name": "s", "key": "k"})
}

const GITHUB: &str = r#"{"n":12345678901234567890,"ref":"main"}"#;

#[tokio::test]
async fn github_signs_adds_its_headers_to_the_body_and_keeps_numbers() {
    let settings = || json!({"webhookSecret": secret()});
    let good = "sha256=3b6559a15c37436cf2d29143e567317033d3d16b8a87f82e71d18982b07b0247";
    let old = "sha1=dc59f25e8256f92558b780fcae5c2e35b3e3670f";
    let headers = [
        ("x-hub-signature-256", good),
        ("x-github-event", "push"),
        ("x-github-delivery", "d-1"),
    ];
    let (id, payload) = one(call("github", settings(), &headers, GITHUB).await);
    assert_eq!(id.as_deref(), Some("d-1"));
    let payload: Value = serde_json::from_str(&payload).expect("JSON");
    assert_eq!(
        payload["body"].to_string(),
        r#"{"X-GitHub-Delivery":"d-1","X-GitHub-Event":"push","n":12345678901234567890,"ref":"main"}"#
    );
    assert_eq!(payload["headers"]["X-Github-Event"], json!(["push"]));
    assert_eq!(payload["metadata"], json!({"team": "a"}));
    one(call("github", settings(), &[("x-hub-signature", old)], GITHUB).await);
    // The better signature decides.
    let both = [
        ("x-hub-signature-256", "sha256=00"),
        ("x-hub-signature", old),
    ];
    for headers in [
        &both[..],
        &[],
        &[("x-hub-signature-256", "")],
        &[("x-hub-signature", good)],
    ] {
        assert_eq!(
            status(call("github", settings(), headers, GITHUB).await),
            401,
            "{headers:?}"
        );
    }
    let changed = GITHUB.replace("main", "side");
    assert_eq!(
        status(call("github", settings(), &headers, &changed).await),
        401
    );
    let form = [
        (
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        ),
        (
            "x-hub-signature-256",
            "sha256=8204ce08f9b4e4e5002aa1ebd61fffe2ae1482a0a5d437cf9e871a102771d4c5",
        ),
    ];
    let (id, payload) = one(call("github", settings(), &form, "payload=%7B%22a%22%3A1%7D").await);
    assert!(id.is_none() && payload.contains(r#""a":1"#), "{payload}");
    for body in ["[1]", "", "nonsense"] {
        assert_eq!(
            status(call("github", json!({}), &[], body).await),
            400,
            "{body}"
        );
    }
}

#[tokio::test]
async fn gitlab_shows_its_token_which_does_not_travel() {
    let settings = || json!({"secretToken": secret()});
    let headers = [("x-gitlab-token", "hush"), ("idempotency-key", "i-1")];
    let (id, payload) = one(call("gitlab", settings(), &headers, r#"{"a": 1}"#).await);
    assert_eq!(id.as_deref(), Some("i-1"));
    assert_eq!(
        payload,
        r#"{"headers":{"Idempotency-Key":["i-1"],"X-Gitlab-Token":["*** Masked Secret ***"]},"body":{"a": 1},"metadata":{"team":"a"}}"#
    );
    for headers in [&[][..], &[("x-gitlab-token", "hus")]] {
        assert_eq!(status(call("gitlab", settings(), headers, "{}").await), 401);
    }
}

#[tokio::test]
async fn bitbucket_and_gerrit_send_json() {
    let headers = [("x-event-key", "repo:push"), ("x-request-uuid", "u")];
    let (id, payload) = one(call("bitbucket", json!({}), &headers, r#"{"a":1}"#).await);
    assert!(
        id.as_deref() == Some("u") && payload.contains(r#""body":{"a":1}"#),
        "{payload}"
    );
    assert_eq!(status(call("bitbucket", json!({}), &[], "{}").await), 400);
    let (id, payload) = one(call("gerrit", json!({}), &[], r#"{"type":"patchset-created"}"#).await);
    assert!(
        id.is_none() && payload.contains("patchset-created"),
        "{payload}"
    );
    assert_eq!(status(call("gerrit", json!({}), &[], "{").await), 400);
}

#[tokio::test]
async fn a_push_to_bitbucket_server_is_one_event_or_one_per_change() {
    let body = r#"{"changes":[{"r":"a"},{"r":"b"}],"p":1}"#;
    let signature = "sha256=9f6091a8682481ad7ddfdebb4081e46691f3cd043931e760870f06b9ef5a25b1";
    let headers = [
        ("x-event-key", "repo:refs_changed"),
        ("x-hub-signature", signature),
        ("x-request-id", "q"),
    ];
    let mut settings = json!({"webhookSecret": secret()});
    one(call("bitbucketserver", settings.clone(), &headers, body).await);
    settings["oneEventPerChange"] = json!(true);
    let events = call("bitbucketserver", settings.clone(), &headers, body)
        .await
        .expect("accepted")
        .events;
    let changes: Vec<_> = events
        .iter()
        .map(|event| {
            let payload: Value = serde_json::from_slice(&event.payload).expect("JSON");
            (
                event.id.clone().unwrap_or_default(),
                payload["body"].to_string(),
            )
        })
        .collect();
    assert_eq!(
        changes,
        [
            (
                "q/0".to_owned(),
                r#"{"changes":[{"r":"a"}],"p":1}"#.to_owned()
            ),
            (
                "q/1".to_owned(),
                r#"{"changes":[{"r":"b"}],"p":1}"#.to_owned()
            ),
        ]
    );
    assert_eq!(
        status(call("bitbucketserver", settings.clone(), &headers[..1], body).await),
        401
    );
    assert_eq!(
        status(call("bitbucketserver", settings, &headers[1..], body).await),
        400
    );
}

#[tokio::test]
async fn slack_sends_challenges_events_commands_and_interactions() {
    let settings = || json!({"signingSecret": secret(), "token": secret()});
    let send = async |signature: &str, time: &str, form: bool, body: &str| {
        let signature = format!("v0={signature}");
        let type_ = if form {
            "application/x-www-form-urlencoded"
        } else {
            "application/json"
        };
        let headers = [
            ("x-slack-signature", signature.as_str()),
            ("x-slack-request-timestamp", time),
            ("content-type", type_),
        ];
        call("slack", settings(), &headers, body).await
    };
    let now = NOW.to_string();
    let challenge = r#"{"type":"url_verification","token":"t","challenge":"c-1"}"#;
    let signed = "1c83191dca7c53f0fc38b3ed6791137fd600c0680334270d7fd3cb56a64ff0e1";
    let reaction = send(signed, &now, false, challenge)
        .await
        .expect("accepted");
    assert!(
        reaction.events.is_empty() && reaction.answer == "c-1",
        "{reaction:?}"
    );
    let event = r#"{"type":"event_callback","token":"t","event_id":"Ev1","event":{"type":"message","text":"hi"}}"#;
    let signed = "99c591ce38a6aa992d5e85f74c30382c1b4a692813c619f3802e182b6ee19cdd";
    let (id, payload) = one(send(signed, &now, false, event).await);
    assert_eq!(id.as_deref(), Some("Ev1"));
    assert_eq!(
        payload,
        r#"{"type":"message","Data":{"type":"message","text":"hi"}}"#
    );
    // Recorded, or signed for another time.
    assert_eq!(status(send(signed, "1767323046", false, event).await), 401);
    assert_eq!(status(call("slack", settings(), &[], event).await), 401);
    let command = "command=%2Fdeploy&text=now&token=t&trigger_id=7";
    let signed = "14217b8d57a4c43254ad39732cc8dda7ecfd154770b4a982b77b146f3e854f3e";
    let (id, payload) = one(send(signed, &now, true, command).await);
    assert_eq!(id.as_deref(), Some("7"));
    assert_eq!(
        payload,
        r#"{"command":"/deploy","text":"now","trigger_id":"7"}"#
    );
    let action = "payload=%7B%22type%22%3A%22block_actions%22%2C%22token%22%3A%22t%22%7D";
    let signed = "8c1567bde69503adef073139c80f1374053b55830ef47e395245f277ef7b829e";
    assert_eq!(
        one(send(signed, &now, true, action).await).1,
        r#"{"type":"block_actions"}"#
    );
    let kind = ALL
        .iter()
        .find(|kind| kind.key == "slack")
        .expect("a service");
    let error = BoundHook::check(kind, "spec.slack.x", &json!({})).expect_err("refused");
    assert!(
        error
            .to_string()
            .starts_with("spec.slack.x.signingSecret: "),
        "{error}"
    );
}

#[tokio::test]
async fn a_request_to_slack_that_is_too_old_is_refused_though_its_signature_is_right() {
    // Signed for 2026-01-02T03:04:05Z, and shown 301 seconds later or earlier.
    let hook = r#"{"type":"url_verification","token":"t","challenge":"c-1"}"#;
    let signed = "v0=1c83191dca7c53f0fc38b3ed6791137fd600c0680334270d7fd3cb56a64ff0e1";
    let kind = ALL
        .iter()
        .find(|kind| kind.key == "slack")
        .expect("a service");
    let bound =
        BoundHook::check(kind, "spec.x.y", &json!({"signingSecret": secret()})).expect("good");
    let headers = HeaderMap::from_iter([
        (
            HeaderName::from_static("x-slack-signature"),
            HeaderValue::from_static(signed),
        ),
        (
            HeaderName::from_static("x-slack-request-timestamp"),
            HeaderValue::from(NOW),
        ),
    ]);
    for (shift, right) in [(-301, false), (-300, true), (300, true), (301, false)] {
        let call = Call {
            headers: &headers,
            body: hook.as_bytes(),
            secrets: &[("signingSecret", Secret::from("hush"))],
            metadata: &BTreeMap::new(),
            now: jiff::Timestamp::from_second(NOW + shift).expect("a time"),
            egress: REFUSE,
        };
        assert_eq!(bound.hook.receive(&call).await.is_ok(), right, "{shift}");
    }
}

#[tokio::test]
async fn stripe_events_are_filtered_by_type() {
    let body = r#"{"id":"evt_1","type":"charge.failed","data":{}}"#;
    let (id, payload) = one(call(
        "stripe",
        json!({"eventFilter": ["charge.failed"]}),
        &[],
        body,
    )
    .await);
    assert_eq!(id.as_deref(), Some("evt_1"));
    assert_eq!(
        payload,
        format!(r#"{{"event":{body},"metadata":{{"team":"a"}}}}"#)
    );
    let other = call(
        "stripe",
        json!({"eventFilter": ["charge.captured"]}),
        &[],
        body,
    )
    .await;
    assert!(other.expect("accepted").events.is_empty());
    assert_eq!(
        status(call("stripe", json!({}), &[], r#"{"x":1}"#).await),
        400
    );
}

#[tokio::test]
async fn storage_grid_notifications_are_filtered_by_key() {
    let body = "Action=Publish&Message=%7B%22Records%22%3A%5B%7B%22s3%22%3A%7B%22object%22%3A%7B%22key%22%3A%22in%2Fa.csv%22%7D%7D%7D%5D%7D&TopicArn=urn%3At&Version=2010-03-31";
    let filter =
        |prefix: &str, suffix: &str| json!({"filter": {"prefix": prefix, "suffix": suffix}});
    let reaction = call("storageGrid", filter("in/", ".csv"), &[], body).await;
    assert!(
        reaction
            .as_ref()
            .expect("accepted")
            .answer
            .contains("<MessageId>")
    );
    let (_, payload) = one(reaction);
    assert_eq!(
        payload,
        r#"{"notification":{"Action":"Publish","Message":{"Records":[{"s3":{"object":{"key":"in/a.csv"}}}]},"TopicArn":"urn:t","Version":"2010-03-31"},"metadata":{"team":"a"}}"#
    );
    for settings in [filter("out/", ""), filter("", ".txt")] {
        assert!(
            call("storageGrid", settings, &[], body)
                .await
                .expect("accepted")
                .events
                .is_empty()
        );
    }
    let test = "Action=Publish&Message=StorageGRID+Test+Message";
    assert!(
        call("storageGrid", json!({}), &[], test)
            .await
            .expect("accepted")
            .events
            .is_empty()
    );
    assert_eq!(
        status(call("storageGrid", json!({}), &[], "a=b").await),
        400
    );
}
