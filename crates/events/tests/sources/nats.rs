//! Messages of NATS subjects.

use super::*;

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::too_many_lines,
    reason = "one server, two subscriptions, from the first message to a restart"
)]
async fn messages_of_a_nats_subject_become_events() {
    let Some(mut stage) = Stage::start().await else {
        return;
    };
    let url = stage.nats.config().urls[0].clone();
    let source = source(
        "src",
        vec![],
        vec![
            task(
                "nats",
                "orders",
                &json!({
                    "url": url, "subject": "orders.*", "jsonBody": true, "metadata": {"k": "v"},
                    "filter": {"expression": "body.n != 2"},
                }),
            ),
            task(
                "nats",
                "raw",
                &json!({"url": url, "subject": "raw", "queue": "q"}),
            ),
        ],
    );
    assert!(run(&stage.plane, &stage.bus, &source).is_empty());
    let client = async_nats::connect(&url).await.expect("connected");
    let send = async |subject: &'static str, body: &'static str| {
        let mut headers = async_nats::HeaderMap::new();
        headers.append("A", "b");
        headers.append("A", "c");
        let sent = client.publish_with_headers(subject, headers, body.into());
        sent.await.expect("sent");
        client.flush().await.expect("flushed");
    };
    // Core NATS does not keep what nobody has subscribed to.
    let mut probes = 0;
    until("both are subscribed", || {
        probes += 1;
        let (nats, send) = (&stage.nats, &send);
        async move {
            send("orders.probe", r#"{"n":0}"#).await;
            send("raw", "probe").await;
            let all = nats.stored().await;
            let of = |subject: &str| all.iter().any(|event| event.subject == subject);
            of("orders") && of("raw")
        }
    })
    .await;
    for (subject, body) in [
        ("orders.new", r#"{"n":1,"id":12345678901234567890}"#),
        ("orders.new", r#"{"n":2}"#),
        ("orders.new", "no JSON"),
        ("raw", "\u{1}\u{2}"),
        ("orders.old", r#"{"n":3}"#),
    ] {
        send(subject, body).await;
    }
    let bodies = async |nats: &Nats| -> Vec<(String, String)> {
        let all = nats.stored().await;
        let all = all.iter().map(|event| {
            (
                event.subject.clone(),
                String::from_utf8_lossy(&event.data).into_owned(),
            )
        });
        all.filter(|(_, data)| !data.contains("probe") && !data.contains("cHJvYmU="))
            .collect()
    };
    until("three events", || async {
        bodies(&stage.nats).await.len() >= 3
    })
    .await;
    let mut found = bodies(&stage.nats).await;
    found.sort();
    let expected = [
        (
            "orders",
            r#"{"subject":"orders.new","body":{"n":1,"id":12345678901234567890},"header":{"A":["b","c"]},"metadata":{"k":"v"}}"#,
        ),
        (
            "orders",
            r#"{"subject":"orders.old","body":{"n":3},"header":{"A":["b","c"]},"metadata":{"k":"v"}}"#,
        ),
        (
            "raw",
            r#"{"subject":"raw","body":"AQI=","header":{"A":["b","c"]}}"#,
        ),
    ];
    assert_eq!(
        found,
        expected.map(|(event, data)| (event.to_owned(), data.to_owned()))
    );
    // A server that comes back is used again.
    stage.nats.down();
    stage.nats.up().await;
    until("events after the restart", || {
        let (nats, send, bodies) = (&stage.nats, &send, &bodies);
        async move {
            send("orders.new", r#"{"n":4}"#).await;
            bodies(nats).await.len() > 3
        }
    })
    .await;
    stage.plane.stop().await;
}

#[test]
fn a_nats_source_that_cannot_work_is_refused_by_its_field() {
    let nats = registry::ALL.iter().find(|kind| kind.key == "nats");
    let refused = |config: Value| {
        TaskEvent::check(nats.expect("a kind"), "e", &config)
            .expect_err("refused")
            .to_string()
    };
    let key = json!({"name": "s", "key": "k"});
    for (config, field) in [
        (json!({"url": "nats://h:4222"}), "spec.nats.e.subject"),
        (
            json!({"url": "nats://h:4222", "subject": "a..b"}),
            "spec.nats.e.subject",
        ),
        (
            json!({"url": "http://h", "subject": "a"}),
            "spec.nats.e.url",
        ),
        (
            json!({"url": "nats://ann:s3cret@h", "subject": "a"}),
            "spec.nats.e.url",
        ),
        (
            json!({"url": "nats://h", "subject": "a", "auth": {"basic": {"username": key}}}),
            "spec.nats.e.auth.basic",
        ),
        (
            json!({"url": "nats://h", "subject": "a", "tls": {"clientCertSecret": key}}),
            "spec.nats.e.tls",
        ),
        (
            json!({"url": "nats://h", "subject": "a", "filter": {"expression": "body ="}}),
            "spec.nats.e.filter.expression",
        ),
    ] {
        let problem = refused(config);
        assert!(problem.starts_with(field), "{problem}");
        assert!(!problem.contains("s3cret"), "{problem}");
    }
}
