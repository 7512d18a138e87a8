//! Event sources on a real nats-server.

#[path = "sources/calendar.rs"]
mod calendar;
#[path = "sources/certificate.rs"]
mod certificate;
#[path = "sources/nats.rs"]
mod nats;
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
