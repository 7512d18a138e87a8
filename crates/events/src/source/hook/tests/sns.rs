//! Amazon SNS.

use http::StatusCode;
use serde_json::{Value, json};

use super::{call, one, status};
use crate::source::hook::{ALL, BoundHook, sns_signature};

const TOPIC: &str = "arn:aws:sns:eu-west-1:123456789012:t";

fn notification() -> Value {
    json!({
        "Type": "Notification", "MessageId": "m-1", "TopicArn": TOPIC, "Subject": "s", "Message": "hello",
        "Timestamp": "2026-01-02T03:04:05.678Z", "SignatureVersion": "1",
    })
}

#[tokio::test]
async fn sns_notifications_of_the_topic_become_events() {
    let settings = || json!({"topicArn": TOPIC});
    let body = notification().to_string();
    let (id, payload) =
        one(call("sns", settings(), &[("x-amz-sns-message-id", "m-1")], &body).await);
    assert_eq!(id.as_deref(), Some("m-1"));
    let payload: Value = serde_json::from_str(&payload).expect("JSON");
    assert_eq!(payload["body"]["Message"], "hello");
    assert_eq!(payload["header"]["X-Amz-Sns-Message-Id"], json!(["m-1"]));
    let other = body.replace(":t\"", ":u\"");
    assert_eq!(status(call("sns", settings(), &[], &other).await), 400);
    // Without a certificate of SNS nothing is signed.
    let signed = json!({"topicArn": TOPIC, "validateSignature": true});
    assert_eq!(status(call("sns", signed, &[], &body).await), 401);
    let kind = ALL
        .iter()
        .find(|kind| kind.key == "sns")
        .expect("a service");
    for (wrong, field) in [
        (json!({"topicArn": "t"}), "topicArn"),
        (
            json!({"topicArn": TOPIC, "endpoint": "file:///etc"}),
            "endpoint",
        ),
        (json!({"topicArn": TOPIC, "region": "a/b"}), "region"),
    ] {
        let error = BoundHook::check(kind, "spec.sns.x", &wrong).expect_err("refused");
        assert!(
            error
                .to_string()
                .starts_with(&format!("spec.sns.x.{field}: ")),
            "{error}"
        );
    }
}

#[tokio::test]
async fn sns_subscriptions_are_confirmed_at_the_server_of_the_manifest() {
    reconcile_core::operator::install_tls();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("bound"));
    let (seen, mut calls) = tokio::sync::mpsc::unbounded_channel();
    let app = axum::Router::new().fallback(move |uri: http::Uri| async move {
        let known = uri.query().unwrap_or_default().contains("Token=good");
        seen.send(uri.to_string()).expect("the test waits");
        if known {
            StatusCode::OK
        } else {
            StatusCode::FORBIDDEN
        }
    });
    tokio::spawn(async move { axum::serve(listener, app).await });
    let confirm = async |endpoint: &str, token: &str| {
        let body = json!({
            "Type": "SubscriptionConfirmation", "TopicArn": TOPIC, "Token": token,
            "SubscribeURL": "http://169.254.169.254/latest",
        });
        let settings = json!({"topicArn": TOPIC, "endpoint": endpoint});
        call("sns", settings, &[], &body.to_string()).await
    };
    assert!(
        confirm(&endpoint, "good")
            .await
            .expect("confirmed")
            .events
            .is_empty()
    );
    assert_eq!(
        calls.recv().await.expect("a call"),
        "/?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3At&Token=good&Version=2010-03-31"
    );
    let (status, text) = confirm(&endpoint, "bad").await.expect_err("refused");
    assert_eq!(status, 502);
    assert!(text.contains("403") && !text.contains("Token"), "{text}");
    let metadata = confirm("http://169.254.169.254/", "good").await;
    let (_, text) = metadata.expect_err("not called");
    assert!(text.contains("--allow-link-local permits it"), "{text}");
}

#[test]
fn sns_signatures_of_both_versions_are_checked() {
    let pem = include_bytes!("../testdata/sns.pem");
    let message = |change: &[(&str, &str)]| {
        let mut message = notification();
        for (field, value) in change {
            message[*field] = json!(value);
        }
        serde_json::from_value::<sns_signature::Message>(message).expect("a message")
    };
    let old = "EPC32yAFut2BGX1Mz5lOGx+Z6cAx13p/XMRiTZ89pH4kQZaz9RLIibv92DkDiV9nEIVlPI+vwsL9q26YM9uP86wVrB5k9Z233OB5Ac4zsudAdB7OSBtqhxjCUbrEeAY2kvr1qVHhSbDt8wuJ1FEHt2Kua9kBhTeRo4FxubOttvRro+ov5pbkBTB/bYEF4YgUu1jbwAHtssGV3VdQC88NK3aQpMPFPC/yQe5LsP0djNv7t+jEJAjsTLZc5dFHLfjawhBP1PCM50ck4razn5MzlN9p5yV9C0f28G1FAJSFOMfT+2qJx6HnBLZKy+kaK3TFnKfdfsChLMQ4bUMWCeD6aA==";
    let new = "MKahLZGnBh0ShMUO/yr+qO38dHpZgyRWXxPWPQBvGguvNlUzCT6rpPoqg//K9xC0qyp/3b6Swn5mstEv72oZ2c26TJh8sKMT9sEqMhsgOJ5TAcui8UQZpletb3BAg13SvrFe40R3cXaur51LGV5C//Km7j7Bz1p90y+hne9uyVRvOfuRtywSnZjklvCWug+eANiaITm/UlXI2UaRmsT1GRpsYB879GytbzRkKWWXuIemsckOcgmBDLrH1sUW99jdTzt1IyjBzIsg8HEcdYoorZQ5V0o0uAHMWLKgbTUAqvTQJ9k24Pf9eH0UUIY1M5KXod34nRdVlO79WDRWwBWy7A==";
    assert!(message(&[("Signature", old)]).is_signed_with(pem));
    assert!(message(&[("Signature", new), ("SignatureVersion", "2")]).is_signed_with(pem));
    for change in [
        &[("Signature", old), ("Message", "other")][..],
        &[("Signature", old), ("SignatureVersion", "2")],
        &[("Signature", old), ("SignatureVersion", "3")],
        &[("Signature", "?")],
        &[],
    ] {
        assert!(!message(change).is_signed_with(pem), "{change:?}");
    }
    assert!(!message(&[("Signature", old)]).is_signed_with(b"no certificate"));
    let confirmation = message(&[
        ("Type", "SubscriptionConfirmation"),
        ("Message", "confirm"),
        ("MessageId", "m-2"),
        ("Token", "tok"),
        ("SubscribeURL", "https://sns.eu-west-1.amazonaws.com/?x=1"),
        ("SignatureVersion", "2"),
        (
            "Signature",
            "prHcZK2Ub1nvEFYaj0eus4JXQaQ/arPXXdWJYCRiXi6cNsYKqnv0EJOaZqCOTAO1HBQI11nXAhGz6Ypa9SU/m+Bto44IZ52IYCpOXpoOnWSbFr7MzVdVx4MeaTPCqrqE7iLU2Bsbe5P6aW2IMaoOlj9LVVBjEk5WkSz9eqyhIxGRiZaxaIMUrn1zIHJe7mK8i+ka9ektnAbGf/v9gzHW29qWN9zkpXowmuIo26lACyeGfWT+uIkyUuz7oNHrmX3XBmy1+aaottGN7LASTgZDYXtCqO9pqnDRVxW63z3H2Ww9JTMOAM4FwPeA78KPRbK81Wtk69CesG3emqAbZbZ+jA==",
        ),
    ]);
    assert!(confirmation.is_signed_with(pem));
}

#[test]
fn certificates_come_from_servers_of_sns_only() {
    let accepted = |text: &str| sns_signature::certificate_url(text).is_some();
    assert!(accepted("https://sns.eu-west-1.amazonaws.com/a.pem"));
    assert!(accepted("https://sns.cn-north-1.amazonaws.com.cn/a.pem"));
    for text in [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.org/a.pem",
        "https://evil.org/sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.org/a.pem",
        "https://sns.a.b.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com/?a.pem",
        "",
    ] {
        assert!(!accepted(text), "{text}");
    }
}
