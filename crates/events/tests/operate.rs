//! Commands against a real nats-server: publish, tail, dead letters, explain.

mod support;

use std::path::Path;

use events::operate::{
    BusArgs, dlq, explain,
    publish::{self, PublishArgs},
    tail::{self, Output, TailArgs},
};
use jiff::SignedDuration;
use reconcile_core::clock::Clock;
use serde_json::{Value, json};
use support::{Receiver, Stage, attached, http_trigger, sensor, until};

/// The server of a stage, as the command line names it.
fn bus(stage: &Stage) -> BusArgs {
    let credentials = stage.nats.file("credentials");
    std::fs::write(&credentials, "").expect("written");
    BusArgs {
        namespace: "ns".to_owned(),
        server: Some(stage.nats.config().urls[0].clone()),
        credentials: Some(credentials),
        ..BusArgs::default()
    }
}

fn text(out: Vec<u8>) -> String {
    String::from_utf8(out).expect("UTF-8")
}

async fn publish(stage: &Stage, event: &str, data: &str) -> anyhow::Result<String> {
    let args = PublishArgs {
        bus: bus(stage),
        event: event.to_owned(),
        data: Some(data.to_owned()),
        file: None,
        type_: "webhook".to_owned(),
        id: Some(format!("{event}={data}")),
    };
    let mut out = Vec::new();
    publish::run(&args, Clock::system().now(), &mut out).await?;
    Ok(text(out))
}

async fn list(stage: &Stage) -> Vec<Value> {
    let args = dlq::DlqArgs {
        command: dlq::DlqCommand::List(dlq::ListArgs {
            selection: dlq::Selection {
                bus: bus(stage),
                sensor: Some("s".to_owned()),
                trigger: Some("t".to_owned()),
            },
            output: Output::Json,
        }),
    };
    let mut out = Vec::new();
    assert!(dlq::run(&args, &mut out).await.expect("answered"));
    text(out)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

async fn explain(stage: &Stage, file: &Path) -> Value {
    let args = explain::ExplainArgs {
        bus: bus(stage),
        sensor: "s".to_owned(),
        file: Some(file.to_owned()),
        since: SignedDuration::from_hours(1),
        last: 5,
        output: Output::Json,
    };
    let mut out = Vec::new();
    let now = Clock::system().now();
    assert!(explain::run(&args, now, &mut out).await.expect("answered"));
    serde_json::from_str(&text(out)).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_by_hand_is_acted_on_and_shown() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    stage.run(&stage.spec(&["a"])).await;
    let said = publish(&stage, "src/a", r#"{"n":7}"#)
        .await
        .expect("stored");
    assert_eq!(said, "src/a src/a={\"n\":7} stored as message 1\n");
    stage.receiver.wait_for(1).await;
    assert_eq!(stage.receiver.numbers("a"), [7]);
    let again = publish(&stage, "src/a", r#"{"n":7}"#)
        .await
        .expect_err("known");
    assert!(
        again.to_string().contains("has an event with id"),
        "{again}"
    );
    for (event, data) in [("src", "{}"), ("src/a.b", "{}"), ("src/a", "{")] {
        publish(&stage, event, data).await.expect_err("refused");
    }
    publish(&stage, "other/x", "[12345678901234567890]")
        .await
        .expect("stored");
    let tail = |event: Option<&str>, output, limit| TailArgs {
        bus: bus(&stage),
        event: event.map(str::to_owned),
        since: Some(SignedDuration::from_hours(1)),
        limit: Some(limit),
        output,
    };
    let mut out = Vec::new();
    let now = Clock::system().now();
    let all = tail(None, Output::Text, 2);
    tail::run(&all, now, &mut out).await.expect("answered");
    let shown = text(out);
    assert!(
        shown.contains(" src/a src/a={\"n\":7} {\"n\":7}\n"),
        "{shown}"
    );
    let mut out = Vec::new();
    let one = tail(Some("other"), Output::Json, 1);
    tail::run(&one, now, &mut out).await.expect("answered");
    let shown = text(out);
    assert!(
        shown.ends_with(",\"data\":[12345678901234567890]}\n"),
        "{shown}"
    );
    stage.plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_letter_reaches_the_trigger_that_failed_and_no_other() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    *stage.receiver.answer.lock() = 503;
    let mut spec = stage.spec(&["a", "b"]);
    spec["triggers"][0]["policy"] = json!({"status": {"allow": [200]}});
    let others = Receiver::start().await;
    let mut other = http_trigger("other", &others.url, &["a"]);
    other["template"]["conditions"] = json!("a");
    spec["triggers"].as_array_mut().expect("a list").push(other);
    stage.run(&spec).await;
    stage.publish("a", 1).await;
    stage.publish("b", 2).await;
    others.wait_for(1).await;
    until("a dead letter", || async { !list(&stage).await.is_empty() }).await;
    let letters = list(&stage).await;
    assert_eq!(letters[0]["sensor"], "ns/s");
    assert_eq!(letters[0]["events"], json!(["src/a a-1", "src/b b-2"]));
    assert!(
        letters[0]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("503"))
    );
    *stage.receiver.answer.lock() = 200;
    let before = stage.receiver.count();
    let args = |letters: Vec<u64>| dlq::DlqArgs {
        command: dlq::DlqCommand::Replay(dlq::ReplayArgs {
            selection: dlq::Selection {
                bus: bus(&stage),
                sensor: Some("s".to_owned()),
                trigger: None,
            },
            letters,
            all: false,
            keep: false,
        }),
    };
    let missing = dlq::run(&args(vec![99]), &mut Vec::new()).await;
    assert!(
        missing
            .expect_err("no such letter")
            .to_string()
            .contains("no letter 99")
    );
    let number = letters[0]["letter"].as_u64().expect("a number");
    let mut out = Vec::new();
    assert!(
        dlq::run(&args(vec![number]), &mut out)
            .await
            .expect("answered")
    );
    assert!(text(out).starts_with(&format!("letter {number}: replayed as message ")));
    stage.receiver.wait_for(before + 1).await;
    assert!(list(&stage).await.is_empty());
    // The other trigger waits for the same event: what comes later shows that it has passed the replayed one.
    stage.publish("a", 3).await;
    others.wait_for(2).await;
    stage.plane.stop().await;
    assert_eq!(others.numbers("a"), [1, 3]);
    assert_eq!(stage.receiver.count(), before + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_why_a_sensor_does_not_fire_is_explained() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let mut spec = stage.spec(&["a", "b"]);
    spec["dependencies"][1]["filters"] =
        json!({"data": [{"path": "n", "type": "number", "comparator": ">", "value": ["10"]}]});
    let file = stage.nats.file("sensor.json");
    let manifest = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Sensor", "metadata": {"name": "s"}, "spec": spec,
    });
    std::fs::write(&file, manifest.to_string()).expect("written");
    let said = explain(&stage, &file).await;
    let state = said["triggers"][0]["state"]
        .as_str()
        .expect("text")
        .to_owned();
    assert!(
        state.starts_with("not attached to the events of a, b"),
        "{state}"
    );
    stage.plane.ensure_sensor(&sensor("s", &spec), &stage.bus);
    attached(&stage.plane, "s").await;
    stage.publish("a", 1).await;
    stage.publish("b", 2).await;
    let waits = "has a; waits for b; none of the last events of b passes the filters";
    until("the event of a is saved and that of b refused", || async {
        explain(&stage, &file).await["triggers"][0]["state"] == waits
    })
    .await;
    until("both are dealt with", || async {
        let said = explain(&stage, &file).await;
        let verdicts = said["triggers"][0]["dependencies"].to_string();
        verdicts.contains("passes the filters; dealt with")
            && verdicts.contains(r#"discarded: data: n is \"2\"; dealt with"#)
    })
    .await;
    let said = explain(&stage, &file).await;
    assert_eq!(said["triggers"][0]["saved"]["a"], "message 1 (a-1)");
    stage.publish("b", 11).await;
    stage.receiver.wait_for(1).await;
    until("nothing is saved any more", || async {
        explain(&stage, &file).await["triggers"][0]["state"] == "waits for a, b"
    })
    .await;
    stage.plane.stop().await;
}
