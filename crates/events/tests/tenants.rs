//! Tenants that mean harm to each other, and servers that mean harm to this process.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use events::{
    bus::Bus,
    source::{CheckedSource, Endpoint, TaskEvent, Webhook, listener::ClosedPort, registry},
    worker::DataPlane,
};
use reconcile_core::{listen::Budget, object::ObjectKey, secret::Secret};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use support::{Nats, PATIENCE, plane, until};

fn served(namespace: &str, name: &str, port: u16, service: bool) -> Arc<CheckedSource> {
    let webhook = Webhook {
        event: "push".to_owned(),
        port,
        endpoint: Endpoint::parse("/push").expect("a path"),
        method: http::Method::POST,
        token: None,
        tls: None,
        max_body: 100,
        metadata: BTreeMap::new(),
        filter: None,
        hook: None,
    };
    Arc::new(CheckedSource {
        key: ObjectKey::new(namespace, name),
        uid: format!("uid-{name}"),
        webhooks: vec![webhook],
        tasks: Vec::new(),
        service,
        contested: BTreeSet::new(),
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_the_target_of_another_tenant_not_even_after_a_restart() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane, port) = (nats.bus().await, plane(), 12_345);
    let victim = served("shop", "orders", port, true);
    let target = plane.ensure_source(&victim, &bus).served.targets[&port];
    let published = BTreeSet::from([target]);
    plane.published(&victim.key, &published);

    // The next process: an attacker names the port that the slice still leads to, and is reconciled first.
    plane.stop().await;
    let plane = support::plane();
    plane.published(&victim.key, &published);
    let squatter = served("evil", "squatter", target, false);
    let got = plane.ensure_source(&squatter, &bus).served;
    assert_eq!(got.closed, BTreeMap::from([(target, ClosedPort::Reserved)]));
    // Or makes EventSources until the target of one would be that port.
    for count in 0..20 {
        let rival = served("evil", &format!("rival-{count}"), 12_346, true);
        let targets = plane.ensure_source(&rival, &bus).served.targets;
        assert_ne!(targets[&12_346], target);
    }
    until("the victim has its port again", || async {
        plane.stop_source(&victim.key);
        plane.ensure_source(&victim, &bus).served.targets[&port] == target
    })
    .await;
    let answer = reqwest::Client::new()
        .post(format!("http://127.0.0.1:{target}/push"))
        .header("content-type", "application/json")
        .body("{}")
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_namespace_takes_more_ports_than_it_leaves_to_others() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    // 30 sockets, 15 of them for ports.
    let plane = support::plane_with(Budget::for_descriptors(Some(60)));
    let bus = nats.bus().await;
    let refused = |namespace: &str| -> Vec<String> {
        let all = (0..15).flat_map(|count| {
            let mut source = served(namespace, &format!("s{count}"), 12_345, true);
            Arc::make_mut(&mut source).contested.insert(12_345);
            plane.ensure_source(&source, &bus).served.refused
        });
        all.map(|refused| refused.reason).collect()
    };
    let greedy = refused("evil");
    assert_eq!(greedy.len(), 15 - 8);
    assert!(
        greedy[0].starts_with("namespace evil has as many ports open as are left for all others"),
        "{greedy:?}"
    );
    assert!(refused("shop").len() < 15, "the other namespace gets some");
    plane.stop().await;
}

/// A source of the subject `orders` at `url`, with the values of its Secrets.
fn subscribed(url: &str, settings: &Value, secrets: &[&str]) -> Arc<CheckedSource> {
    let mut config = json!({"url": url, "subject": "orders", "jsonBody": true});
    let config = config.as_object_mut().expect("a map");
    config.extend(settings.as_object().cloned().unwrap_or_default());
    let nats = registry::ALL.iter().find(|kind| kind.key == "nats");
    let config = Value::Object(config.clone());
    let mut task = TaskEvent::check(nats.expect("a kind"), "e", &config).expect("checked");
    assert_eq!(task.source.secrets().len(), secrets.len());
    task.secrets = secrets.iter().map(|text| Secret::from(*text)).collect();
    Arc::new(CheckedSource {
        key: ObjectKey::new("ns", "src"),
        uid: "uid".to_owned(),
        webhooks: Vec::new(),
        tasks: vec![task],
        service: false,
        contested: BTreeSet::new(),
    })
}

fn problem(plane: &DataPlane, bus: &Arc<Bus>, source: &Arc<CheckedSource>) -> String {
    let health = plane.ensure_source(source, bus);
    let problem = health.interrupted.get("e").cloned();
    problem.unwrap_or_default()
}

async fn says(plane: &DataPlane, bus: &Arc<Bus>, source: &Arc<CheckedSource>, part: &str) {
    until(part, || async {
        problem(plane, bus, source).to_lowercase().contains(part)
    })
    .await;
}

/// Publishes orders until one of them is on the bus.
async fn arrives(nats: &Nats, client: &async_nats::Client) {
    let watcher = async_nats::connect(nats.config().urls[0].as_str()).await;
    let stream = async_nats::jetstream::new(watcher.expect("connected"));
    until("an event", || async {
        client
            .publish("orders", "{\"n\":1}".into())
            .await
            .expect("sent");
        let stream = stream.get_stream("default").await.expect("a stream");
        stream.cached_info().state.messages > 0
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_source_says_who_it_is_and_a_refusal_is_reported_without_the_secret() {
    let key = json!({"name": "s", "key": "k"});
    let basic = json!({"auth": {"basic": {"username": key, "password": key}}});
    let token = json!({"auth": {"token": key}});
    let with_password = async_nats::ConnectOptions::with_user_and_password;
    let cases = [
        (
            "authorization { user: ann, password: hush-hush }",
            basic,
            vec!["ann", "hush-hush"],
            vec!["ann", "not-it-at-all"],
            with_password("ann".into(), "hush-hush".into()),
        ),
        (
            "authorization { token: hush-hush }",
            token,
            vec!["hush-hush"],
            vec!["not-it-at-all"],
            async_nats::ConnectOptions::with_token("hush-hush".into()),
        ),
    ];
    for (settings, config, right, wrong, options) in cases {
        let server = Nats::start_with(&[], |_| settings.to_owned()).await;
        let (Some(nats), Some(server)) = (Nats::start().await, server) else {
            return;
        };
        let (bus, plane) = (nats.bus().await, plane());
        let url = server.config().urls[0].clone();
        let stranger = subscribed(&url, &config, &wrong);
        says(&plane, &bus, &stranger, "authorization").await;
        assert!(!problem(&plane, &bus, &stranger).contains("not-it-at-all"));
        let known = subscribed(&url, &config, &right);
        plane.ensure_source(&known, &bus);
        arrives(&nats, &options.connect(&url).await.expect("connected")).await;
        until("healthy", || async {
            problem(&plane, &bus, &known).is_empty()
        })
        .await;
        plane.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_source_speaks_tls_with_the_authority_that_is_given() {
    let names = ["127.0.0.1".to_owned()];
    let shown = rcgen::generate_simple_self_signed(names.clone()).expect("a certificate");
    let other = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (ca, key) = (shown.cert.pem(), shown.signing_key.serialize_pem());
    let files = [("cert.pem", ca.as_str()), ("key.pem", key.as_str())];
    let settings = |nats: &Nats| {
        let (cert, key) = (nats.file("cert.pem"), nats.file("key.pem"));
        format!("tls {{ cert_file: {cert:?}, key_file: {key:?} }}")
    };
    let server = Nats::start_with(&files, settings).await;
    let (Some(nats), Some(server)) = (Nats::start().await, server) else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let url = server.config().urls[0].clone();
    let config = json!({"tls": {"caCertSecret": {"name": "s", "key": "k"}}});
    let stranger = subscribed(&url, &config, &[&other.cert.pem()]);
    says(&plane, &bus, &stranger, "certificate").await;
    let known = subscribed(&url, &config, &[&ca]);
    plane.ensure_source(&known, &bus);
    let insecure = async_nats::ConnectOptions::new().require_tls(true);
    let trust = events::tls::TlsSettings {
        ca: Some(ca.clone()),
        ..events::tls::TlsSettings::default()
    };
    let trust = trust
        .client_config()
        .expect("usable")
        .expect("not the default");
    let client = insecure.tls_client_config(trust).connect(&url).await;
    arrives(&nats, &client.expect("connected")).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_source_does_not_call_metadata_addresses() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let source = subscribed("nats://169.254.169.254:80", &json!({}), &[]);
    says(&plane, &bus, &source, "--allow-link-local permits it").await;
    plane.stop().await;
}

/// A NATS server that answers one subscription with a message that never ends.
async fn endless(connection: TcpStream, sent: Arc<AtomicUsize>) {
    let (read, mut write) = connection.into_split();
    let info =
        json!({"server_id": "x", "version": "2.10.0", "max_payload": 1 << 20, "headers": true});
    let greeting = format!("INFO {info}\r\n");
    write.write_all(greeting.as_bytes()).await.expect("sent");
    let mut lines = BufReader::new(read).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if line.starts_with("PING") {
            write.write_all(b"PONG\r\n").await.expect("sent");
        }
        if line.starts_with("SUB") {
            break;
        }
    }
    let begin = b"PONG\r\nMSG orders 1 99999999999\r\n";
    write.write_all(begin).await.expect("sent");
    let part = vec![b'x'; 256 << 10];
    while write.write_all(&part).await.is_ok() {
        sent.fetch_add(part.len(), Ordering::Relaxed);
        // Slow enough that it is seen before the memory of the test is full.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_sends_a_message_without_end_is_given_up() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let source = subscribed(&format!("nats://{address}"), &json!({}), &[]);
    plane.ensure_source(&source, &bus);
    let sent = Arc::new(AtomicUsize::new(0));
    let given_up = async {
        let (connection, _) = listener.accept().await.expect("a connection");
        let server = tokio::spawn(endless(connection, sent.clone()));
        let again = listener.accept().await.expect("another connection");
        server.abort();
        again
    };
    let given_up = tokio::time::timeout(PATIENCE, given_up).await;
    let sent = sent.load(Ordering::Relaxed);
    assert!(given_up.is_ok(), "still reading after {sent} bytes");
    assert!(sent > 1 << 20, "not before its largest message: {sent}");
    plane.stop().await;
}
