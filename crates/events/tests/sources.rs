//! Event sources on a real nats-server.

mod support;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use events::{
    bus::Bus,
    event::CloudEvent,
    source::{
        CheckedSource, Endpoint, EventFilter, ServerCertificate, TaskEvent, Webhook,
        listener::ClosedPort, registry,
    },
    worker::DataPlane,
};
use futures::StreamExt;
use jiff::SignedDuration;
use reconcile_core::object::ObjectKey;
use serde_json::{Value, json};

use support::{Nats, PATIENCE, Stage, free_port, plane, until};

fn webhook(event: &str, port: u16, method: &str) -> Webhook {
    Webhook {
        event: event.to_owned(),
        port,
        endpoint: Endpoint::parse("/push").expect("a path"),
        method: method.parse().expect("a method"),
        token: None,
        tls: None,
        max_body: 100,
        metadata: BTreeMap::new(),
        filter: None,
        hook: None,
    }
}

fn task(kind: &str, event: &str, config: &Value) -> TaskEvent {
    let kind = registry::ALL.iter().find(|known| known.key == kind);
    TaskEvent::check(kind.expect("a kind"), event, config).expect("checked")
}

fn calendar(event: &str) -> TaskEvent {
    let config = json!({"interval": "200ms", "metadata": {"k": "v"}});
    task("calendar", event, &config)
}

fn source(name: &str, webhooks: Vec<Webhook>, tasks: Vec<TaskEvent>) -> Arc<CheckedSource> {
    Arc::new(CheckedSource {
        key: ObjectKey::new("ns", name),
        uid: format!("uid-{name}"),
        webhooks,
        tasks,
        service: false,
        contested: std::collections::BTreeSet::new(),
    })
}

async fn events_on(
    nats: &Nats,
    subject: &str,
) -> impl futures::Stream<Item = CloudEvent> + Unpin + use<> {
    let client = async_nats::connect(nats.config().urls[0].as_str())
        .await
        .expect("connected");
    let stream = client
        .subscribe(subject.to_owned())
        .await
        .expect("subscribed");
    client.flush().await.expect("flushed");
    Box::pin(stream.map(|message| CloudEvent::decode(&message.payload).expect("an event")))
}

async fn post(port: u16, body: &str, token: Option<&str>) -> (u16, String) {
    let client = reqwest::Client::new();
    let mut request = client
        .post(format!("http://127.0.0.1:{port}/push"))
        .header("content-type", "application/json")
        .body(body.to_owned());
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("text"))
}

fn run(plane: &DataPlane, bus: &Arc<Bus>, source: &Arc<CheckedSource>) -> Vec<String> {
    let served = plane.ensure_source(source, bus).served;
    let refused = served.refused.into_iter().map(|refused| refused.reason);
    let closed = served.closed.values().map(ToString::to_string);
    refused.chain(closed).collect()
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::too_many_lines,
    reason = "one server, one listener, every row of the contract"
)]
async fn the_answers_of_a_webhook() {
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let (bus, plane, port) = (nats.bus().await, plane(), free_port());
    let mut secured = webhook("secured", port, "POST");
    secured.endpoint = Endpoint::parse("/secured").expect("a path");
    secured.token = Some("s3cret".into());
    let mut filtered = webhook("push", port, "POST");
    filtered.filter = EventFilter::parse("body.n != 13").expect("parses");
    let refused = run(
        &plane,
        &bus,
        &source(
            "src",
            vec![filtered, webhook("get", port, "GET"), secured],
            vec![],
        ),
    );
    assert!(refused.is_empty(), "{refused:?}");
    let mut pushed = events_on(&nats, "default.src.push").await;
    let mut got = events_on(&nats, "default.src.get").await;

    assert_eq!(
        post(port, r#"{"n":1}"#, None).await,
        (200, "success".into())
    );
    let event = tokio::time::timeout(PATIENCE, pushed.next())
        .await
        .expect("in time")
        .expect("an event");
    assert_eq!(
        (
            event.source.as_str(),
            event.subject.as_str(),
            event.type_.as_str()
        ),
        ("src", "push", "webhook")
    );
    let payload: Value = serde_json::from_slice(&event.data).expect("JSON");
    assert_eq!(payload["body"]["n"], 1);
    assert_eq!(payload["header"]["Content-Type"][0], "application/json");
    assert_eq!(event.id.len(), 32);

    assert_eq!(post(port, "nonsense", None).await.0, 400);
    assert_eq!(
        post(port, &format!("\"{}\"", "x".repeat(200)), None)
            .await
            .0,
        400
    );
    let base = format!("http://127.0.0.1:{port}");
    let status = async |request: reqwest::RequestBuilder| {
        request.send().await.expect("an answer").status().as_u16()
    };
    let client = reqwest::Client::new();
    assert_eq!(status(client.get(format!("{base}/nowhere"))).await, 404);
    assert_eq!(status(client.put(format!("{base}/push"))).await, 400);
    assert_eq!(status(client.get(format!("{base}/health"))).await, 200);
    assert_eq!(
        status(client.post(format!("{base}/secured")).body("1")).await,
        401
    );
    assert_eq!(
        status(
            client
                .post(format!("{base}/secured"))
                .bearer_auth("wrong!")
                .body("1")
        )
        .await,
        401
    );
    assert_eq!(
        status(
            client
                .post(format!("{base}/secured"))
                .bearer_auth("s3cret")
                .body("1")
        )
        .await,
        200
    );
    // GET and POST of one path are two events.
    assert_eq!(
        status(client.get(format!("{base}/push?a=1&a=2"))).await,
        200
    );
    let event = tokio::time::timeout(PATIENCE, got.next())
        .await
        .expect("in time")
        .expect("an event");
    let payload: Value = serde_json::from_slice(&event.data).expect("JSON");
    assert_eq!(payload["body"], serde_json::json!({"a": ["1", "2"]}));

    // What the filter refuses is no failure, and no event.
    assert_eq!(post(port, r#"{"n":13}"#, None).await.0, 200);
    assert_eq!(post(port, r#"{"n":14}"#, None).await.0, 200);
    let event = tokio::time::timeout(PATIENCE, pushed.next())
        .await
        .expect("in time")
        .expect("an event");
    assert!(String::from_utf8_lossy(&event.data).contains("14"));

    nats.down();
    assert_eq!(
        post(port, r#"{"n":2}"#, None).await,
        (500, "failed to record event".into())
    );
    nats.up().await;
    until("the webhook works again", || async {
        post(port, r#"{"n":3}"#, None).await.0 == 200
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_may_be_patterns_and_health_and_bodies_may_be_no_utf_8() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane, port) = (nats.bus().await, plane(), free_port());
    let at = |event: &str, path: &str| Webhook {
        endpoint: Endpoint::parse(path).expect("a path"),
        ..webhook(event, port, "POST")
    };
    let webhooks = vec![at("hook", "/hooks/{name}"), at("health", "/health")];
    let refused = run(&plane, &bus, &source("src", webhooks, vec![]));
    assert!(refused.is_empty(), "{refused:?}");
    let mut hooks = events_on(&nats, "default.src.hook").await;
    let mut healths = events_on(&nats, "default.src.health").await;
    let client = reqwest::Client::new();
    let send = async |path: &str, body: &'static [u8]| {
        let request = client.post(format!("http://127.0.0.1:{port}{path}"));
        let answer = request.body(body).send().await.expect("an answer");
        answer.status().as_u16()
    };
    assert_eq!(send("/hooks/a/b", b"1").await, 404);
    assert_eq!(send("/hooks/a.b", br#"{"n":1}"#).await, 200);
    assert_eq!(body_of(&mut hooks).await, json!({"n": 1}));
    // Bytes that are not UTF-8 become U+FFFD inside of strings, and are no JSON outside.
    assert_eq!(send("/hooks/c", b"{\"n\":\"a\xffb\"}").await, 200);
    assert_eq!(body_of(&mut hooks).await, json!({"n": "a\u{fffd}b"}));
    assert_eq!(send("/hooks/c", b"\xff").await, 400);
    // The endpoint of the manifest gets its method; probes of load balancers keep theirs.
    assert_eq!(send("/health", br#"{"n":2}"#).await, 200);
    assert_eq!(body_of(&mut healths).await, json!({"n": 2}));
    let probe = client.get(format!("http://127.0.0.1:{port}/health"));
    let answer = probe.send().await.expect("an answer");
    assert_eq!(answer.text().await.expect("text"), "OK");
    plane.stop().await;
}

/// The body of the next webhook event.
async fn body_of(events: &mut (impl futures::Stream<Item = CloudEvent> + Unpin)) -> Value {
    let event = tokio::time::timeout(PATIENCE, events.next())
        .await
        .expect("in time")
        .expect("an event");
    let payload: Value = serde_json::from_slice(&event.data).expect("JSON");
    payload["body"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_share_ports_and_the_second_of_an_endpoint_is_reported() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane, port) = (nats.bus().await, plane(), free_port());
    let first = source("first", vec![webhook("a", port, "POST")], vec![]);
    assert!(run(&plane, &bus, &first).is_empty());
    let clash = source(
        "second",
        vec![webhook("a", port, "POST"), webhook("b", port, "GET")],
        vec![],
    );
    assert_eq!(
        run(&plane, &bus, &clash),
        ["POST /push is served for EventSource first"]
    );
    // The other endpoint is served, and the first one goes over when its owner lets go.
    let client = reqwest::Client::new();
    let answer = client
        .get(format!("http://127.0.0.1:{port}/push"))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    plane.stop_source(&first.key);
    assert!(run(&plane, &bus, &clash).is_empty());
    let mut events = events_on(&nats, "default.second.a").await;
    assert_eq!(post(port, "1", None).await.0, 200);
    assert!(
        tokio::time::timeout(PATIENCE, events.next())
            .await
            .expect("in time")
            .is_some()
    );
    // A port that somebody else has.
    let taken = std::net::TcpListener::bind("0.0.0.0:0").expect("a port");
    let taken = taken
        .local_addr()
        .map(|address| (address.port(), taken))
        .expect("bound");
    let refused = run(
        &plane,
        &bus,
        &source("third", vec![webhook("a", taken.0, "POST")], vec![]),
    );
    assert!(refused[0].starts_with("cannot listen on "), "{refused:?}");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn namespaces_that_name_the_same_port_and_path_never_get_each_others_callers() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane, port) = (nats.bus().await, plane(), free_port());
    let in_namespace = |namespace: &str, contested: bool| {
        let mut source = (*source("src", vec![webhook("push", port, "POST")], vec![])).clone();
        source.key = ObjectKey::new(namespace, format!("src-{namespace}"));
        source.service = true;
        if contested {
            source.contested.insert(port);
        }
        Arc::new(source)
    };
    // The squatter comes first, and has the port while nobody else names it.
    let squatter = in_namespace("b", false);
    assert!(run(&plane, &bus, &squatter).is_empty());
    assert_eq!(post(port, "1", None).await.0, 200);
    // Even before the squatter has another pass, its port closes.
    let victim = plane.ensure_source(&in_namespace("a", false), &bus).served;
    assert_eq!(
        victim.closed.values().collect::<Vec<_>>(),
        [&ClosedPort::Contested]
    );
    let squatter = plane.ensure_source(&in_namespace("b", true), &bus).served;
    until("the port is closed", || async {
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_err()
    })
    .await;
    let (of_a, of_b) = (victim.targets[&port], squatter.targets[&port]);
    assert_ne!(of_a, of_b);
    for (target, subject) in [(of_a, "default.src-a.push"), (of_b, "default.src-b.push")] {
        let mut events = events_on(&nats, subject).await;
        assert_eq!(post(target, "1", None).await.0, 200);
        let event = tokio::time::timeout(PATIENCE, events.next()).await;
        assert!(event.expect("in time").is_some());
    }
    // Alone again, it gets the port back.
    plane.stop_source(&ObjectKey::new("b", "src-b"));
    assert!(run(&plane, &bus, &in_namespace("a", false)).is_empty());
    assert_eq!(post(port, "1", None).await.0, 200);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_bus_cannot_hold_is_answered_with_the_limit() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane, port) = (nats.bus().await, plane(), free_port());
    let mut large = webhook("push", port, "POST");
    large.max_body = 8 << 20;
    assert!(run(&plane, &bus, &source("src", vec![large], vec![])).is_empty());
    let (status, text) = post(port, &format!("\"{}\"", "x".repeat(900_000)), None).await;
    assert_eq!(status, 413);
    assert!(text.ends_with("which accepts at most 1048576"), "{text}");
    assert_eq!(post(port, "1", None).await.0, 200);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_with_a_certificate_speaks_tls_and_takes_a_new_one_while_open() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane, port) = (nats.bus().await, plane(), free_port());
    let certified = |key: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        let mut webhook = webhook("push", port, "POST");
        webhook.tls = Some(ServerCertificate {
            chain: key.cert.pem(),
            key: key.signing_key.serialize_pem().into(),
        });
        source("src", vec![webhook], vec![])
    };
    for _ in 0..2 {
        let key =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        assert!(run(&plane, &bus, &certified(&key)).is_empty());
        let trusted =
            reqwest::Certificate::from_pem(key.cert.pem().as_bytes()).expect("a certificate");
        let client = reqwest::Client::builder()
            .tls_certs_only([trusted])
            .build()
            .expect("a client");
        let answer = client
            .post(format!("https://localhost:{port}/push"))
            .body("1")
            .send()
            .await;
        assert_eq!(answer.expect("an answer").status().as_u16(), 200);
    }
    // Somebody else cannot serve plain HTTP on the same port.
    let plain = source("plain", vec![webhook("other", port, "GET")], vec![]);
    assert!(run(&plane, &bus, &plain)[0].contains("with another certificate"));
    let mut broken = webhook("push", port, "POST");
    broken.tls = Some(ServerCertificate {
        chain: "x".into(),
        key: "y".into(),
    });
    let refused = run(&plane, &bus, &source("src", vec![broken], vec![]));
    assert!(refused[0].starts_with("server"), "{refused:?}");
    plane.stop().await;
}

#[test]
fn ticks_are_neither_lost_nor_doubled_over_a_crash() {
    let check = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = check.block_on(Nats::start()) else {
        return;
    };
    let source = source("src", vec![], vec![calendar("tick")]);
    let process = |crash: bool, ticks: u64| {
        let process = tokio::runtime::Runtime::new().expect("a runtime");
        process.block_on(async {
            let (bus, plane) = (nats.bus().await, plane());
            assert!(run(&plane, &bus, &source).is_empty());
            until("ticks", || async { nats.count().await >= ticks }).await;
            if !crash {
                plane.stop().await;
            }
        });
        process.shutdown_background();
    };
    process(true, 4);
    std::thread::sleep(Duration::from_millis(900));
    process(true, 12);
    process(false, 16);
    let times: Vec<jiff::Timestamp> = check
        .block_on(nats.stored())
        .iter()
        .map(|event| {
            let payload: Value = serde_json::from_slice(&event.data).expect("JSON");
            assert_eq!(payload["metadata"]["k"], "v");
            let text = payload["eventTime"]
                .as_str()
                .expect("text")
                .replace(" +0000 UTC", "Z");
            text.parse().expect("a time")
        })
        .collect();
    for pair in times.windows(2) {
        assert_eq!(
            pair[1].duration_since(pair[0]),
            SignedDuration::from_millis(200),
            "{times:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_of_two_namespaces_remember_their_ticks_apart() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    for namespace in ["one", "two"] {
        let mut source = (*source("src", vec![], vec![calendar("tick:1")])).clone();
        source.key = ObjectKey::new(namespace, "src");
        source.uid = namespace.to_owned();
        assert!(run(&stage.plane, &stage.bus, &Arc::new(source)).is_empty());
    }
    let context = stage.jetstream().await;
    for key in ["one/src/tick=3A1", "two/src/tick=3A1"] {
        until(key, || async {
            match context.get_key_value("_ticks").await {
                Ok(bucket) => matches!(bucket.get(key).await, Ok(Some(_))),
                Err(_) => false,
            }
        })
        .await;
    }
    until("ticks", || async { stage.nats.count().await >= 4 }).await;
    stage.plane.stop().await;
}

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
