//! What other programs see on the bus: names, bodies and the order of writes, recorded.

mod support;

use std::sync::Arc;

use async_nats::Message;
use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::{Value, json};

use support::{Stage, until};

/// Records and acknowledgements in the order in which the server received them.
#[derive(Clone, Default)]
struct Transcript(Arc<Mutex<Vec<String>>>);

impl Transcript {
    async fn start(stage: &Stage) -> Self {
        let transcript = Self::default();
        let client = async_nats::connect(stage.nats.config().urls[0].as_str())
            .await
            .expect("connected");
        let mut all = client.subscribe(">").await.expect("subscribed");
        client.flush().await.expect("flushed");
        let lines = transcript.0.clone();
        tokio::spawn(async move {
            // The subscription ends with its connection.
            let _client = client;
            while let Some(message) = all.next().await {
                lines.lock().extend(line(&message));
            }
        });
        transcript
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().clone()
    }

    async fn reaches(&self, lines: &[&str]) {
        until("the transcript", || async {
            self.lines().len() >= lines.len()
        })
        .await;
        assert_eq!(self.lines(), lines);
    }
}

fn line(message: &Message) -> Option<String> {
    let subject = message.subject.as_str();
    if let Some(key) = subject.strip_prefix("$KV.") {
        let headers = message.headers.as_ref();
        let operation = headers.and_then(|headers| headers.get("KV-Operation"));
        let value = match operation {
            Some(operation) => operation.as_str().to_owned(),
            None => without_times(&message.payload),
        };
        return Some(format!("{key} = {value}"));
    }
    let mut answer = subject.strip_prefix("$JS.ACK.")?.split('.');
    let (stream, consumer) = (answer.next()?, answer.next()?);
    let sequence = answer.nth(1)?;
    let kind = String::from_utf8_lossy(&message.payload);
    (kind != "+WPI").then(|| format!("{stream} {consumer} {sequence} {kind}"))
}

/// The value without what differs from run to run.
fn without_times(payload: &[u8]) -> String {
    let Ok(mut value) = serde_json::from_slice::<Value>(payload) else {
        return String::from_utf8_lossy(payload).into_owned();
    };
    for time in ["/stream", "/Timestamp", "/Event/time"] {
        if let Some(time) = value.pointer_mut(time) {
            *time = json!("*");
        }
    }
    value.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_is_decided_before_its_action_and_forgotten_before_its_last_event_is_answered() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let transcript = Transcript::start(&stage).await;
    let mut spec = stage.spec(&["a", "b"]);
    spec["triggers"][0]["retryStrategy"] = json!({"steps": 1000, "duration": "100ms"});
    spec["triggers"][0]["policy"] = json!({"status": {"allow": [200]}});
    stage.run(&spec).await;
    let mut expected = vec![
        "s._owner = ns",
        "s.t/Expression = a && b",
        r#"s.t/_ledger = {"consumed":{},"stream":"*"}"#,
    ];
    transcript.reaches(&expected).await;
    stage.publish("a", 7).await;
    expected.extend([
        r#"s.t/a = {"ConsumerSeq":1,"Event":{"data_base64":"eyJuIjo3fQ==","datacontenttype":"application/json","id":"a-7","source":"src","specversion":"1.0","subject":"a","time":"*","type":"test"},"StreamSeq":1,"Timestamp":"*"}"#,
        "default group-2821008617 1 +ACK",
    ]);
    transcript.reaches(&expected).await;
    *stage.receiver.answer.lock() = 503;
    stage.publish("b", 8).await;
    stage.receiver.wait_for(1).await;
    // The action has begun: the set is decided, and nothing of it is forgotten.
    expected
        .push(r#"s.t/_ledger = {"consumed":{"a":1,"b":2},"firing":{"a":1,"b":2},"stream":"*"}"#);
    assert_eq!(transcript.lines(), expected);
    *stage.receiver.answer.lock() = 200;
    expected.extend([
        r#"s.t/_ledger = {"consumed":{"a":1,"b":2},"stream":"*"}"#,
        "s.t/a = DEL",
        "default group-2770675760 2 +ACK",
    ]);
    transcript.reaches(&expected).await;
    stage.plane.stop().await;
    transcript.reaches(&expected).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_trigger_publishes_its_payload() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let url = stage.nats.config().urls[0].clone();
    let client = async_nats::connect(&url).await.expect("connected");
    let mut messages = client.subscribe("shop.orders").await.expect("subscribed");
    client.flush().await.expect("flushed");
    let mut spec = stage.spec(&["a"]);
    spec["triggers"] = json!([{"template": {"name": "t", "nats": {
        "url": url, "subject": "shop.orders",
        "payload": [{"src": {"dependencyName": "a", "dataKey": "n", "useRawData": true}, "dest": "order.n"}],
    }}}]);
    stage.run(&spec).await;
    stage.publish("a", 7).await;
    let message = tokio::time::timeout(support::PATIENCE, messages.next()).await;
    let message = message.expect("in time").expect("a message");
    assert_eq!(message.payload, r#"{"order":{"n":7}}"#);
    let headers = message.headers.expect("headers");
    assert!(
        headers
            .get("Nats-Msg-Id")
            .is_some_and(|id| id.as_str().len() == 32)
    );
    stage.plane.stop().await;
}
