//! The sources `mqtt` and `emitter` on a real mosquitto.

mod support;

use std::{collections::BTreeSet, ops::Range, time::Duration};

use events::source::CheckedSource;
use rumqttc::{AsyncClient, Event, MqttOptions, Outgoing, Packet, QoS};
use serde_json::{Value, json};

use support::{
    Nats, PATIENCE, Server, certified, numbers, plane, refusal, reported, source, until, with,
};

/// An EventSource of the topic `orders`, with its password.
fn orders(broker: &Server, password: &str, more: &Value) -> std::sync::Arc<CheckedSource> {
    let config = with(
        json!({
            "url": format!("tcp://127.0.0.1:{}", broker.port()),
            "topic": "orders",
            "clientId": "source",
            "auth": {"username": {"name": "mqtt", "key": "u"}, "password": {"name": "mqtt", "key": "p"}},
        }),
        more,
    );
    source("mqtt", &["worker", password], &config)
}

/// Publishes to the topic, and returns when the broker has taken everything.
async fn publish(broker: &Server, topic: &str, messages: Vec<Vec<u8>>) {
    let mut options = MqttOptions::new("publisher", "127.0.0.1", broker.port());
    options.set_credentials("worker", "hush");
    options.set_max_packet_size(32 << 20, 32 << 20);
    let (client, mut connection) = AsyncClient::new(options, 16);
    let count = messages.len();
    let topic = topic.to_owned();
    let sender = tokio::spawn(async move {
        for message in messages {
            let sent = client.publish(&topic, QoS::AtLeastOnce, false, message);
            sent.await.expect("queued");
        }
        client
    });
    let taken = async {
        let mut taken = 0;
        while taken < count {
            if let Event::Incoming(Packet::PubAck(_)) = connection.poll().await.expect("connected")
            {
                taken += 1;
            }
        }
        let client = sender.await.expect("all are sent");
        client.disconnect().await.expect("queued");
        while !matches!(
            connection.poll().await,
            Ok(Event::Outgoing(Outgoing::Disconnect)) | Err(_)
        ) {}
    };
    tokio::time::timeout(PATIENCE, taken)
        .await
        .expect("in time");
}

fn numbered(numbers: Range<usize>) -> Vec<Vec<u8>> {
    numbers
        .map(|n| format!("{{\"n\":{n}}}").into_bytes())
        .collect()
}

/// Publishes until the source is subscribed, which the first event shows.
async fn subscribed(nats: &Nats, broker: &Server, topic: &str) {
    until("the source is subscribed", || async {
        publish(broker, topic, vec![b"{\"first\":true}".to_vec()]).await;
        nats.count().await > 0
    })
    .await;
}

#[test]
fn ten_thousand_messages_survive_the_death_of_the_source_and_a_restart_of_the_broker() {
    let main = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = main.block_on(Nats::start()) else {
        return;
    };
    let Some(mut broker) = main.block_on(Server::mosquitto(None)) else {
        return;
    };
    let source = orders(&broker, "hush", &json!({"jsonBody": true}));
    let start = async || {
        let (bus, plane) = (nats.bus().await, plane());
        plane.ensure_source(&source, &bus);
        plane
    };
    // The first process is gone without a word while messages come in.
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    first.block_on(async {
        let plane = start().await;
        subscribed(&nats, &broker, "orders").await;
        tokio::join!(
            publish(&broker, "orders", numbered(0..5000)),
            until("some are stored", || async { nats.count().await >= 500 })
        );
        std::mem::forget(plane);
    });
    first.shutdown_timeout(Duration::ZERO);
    main.block_on(async {
        // The broker keeps what comes in while nobody is there.
        publish(&broker, "orders", numbered(5000..7000)).await;
        broker.stop().await;
        broker.up().await;
        let plane = start().await;
        publish(&broker, "orders", numbered(7000..10_000)).await;
        until("all are stored", || async {
            nats.count().await >= 10_001 && numbers(&nats.identified().await).len() >= 10_000
        })
        .await;
        let stored = nats.identified().await;
        let ids: BTreeSet<&str> = stored.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids.len(), stored.len());
        let mut numbers = numbers(&stored);
        numbers.sort_unstable();
        assert_eq!(numbers, (0..10_000).collect::<Vec<u64>>());
        assert_eq!(stored[0].1["topic"], "orders");
        plane.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_or_no_json_is_refused_and_the_topic_may_change() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(broker) = Server::mosquitto(None).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let more =
        json!({"jsonBody": true, "metadata": {"k": "v"}, "filter": {"expression": "body.n != 13"}});
    plane.ensure_source(&orders(&broker, "hush", &more), &bus);
    subscribed(&nats, &broker, "orders").await;
    let large = vec![b' '; 20 << 20];
    let mut messages = vec![large, b"{".to_vec()];
    messages.extend(numbered(13..15));
    publish(&broker, "orders", messages).await;
    until("the good one is stored", || async {
        numbers(&nats.identified().await) == [14]
    })
    .await;
    let last = nats.identified().await.pop().expect("one").1;
    assert_eq!(last["metadata"], json!({"k": "v"}));
    assert!(
        last["messageId"].as_u64().is_some_and(|id| id > 0),
        "{last}"
    );
    // The session forgets the other topic.
    let other = orders(&broker, "hush", &json!({"topic": "other/#"}));
    plane.ensure_source(&other, &bus);
    until("the other topic comes in", || async {
        publish(&broker, "other/a", vec![b"x".to_vec()]).await;
        nats.identified()
            .await
            .iter()
            .any(|(_, payload)| payload["body"] == "eA==")
    })
    .await;
    publish(&broker, "orders", numbered(30..31)).await;
    publish(&broker, "other/a", vec![b"last".to_vec()]).await;
    let has = |all: &[(String, Value)], body: &str| {
        all.iter().any(|(_, payload)| payload["body"] == body)
    };
    until("the last one is stored", || async {
        has(&nats.identified().await, "bGFzdA==")
    })
    .await;
    // {"n":30}
    assert!(!has(&nats.identified().await, "eyJuIjozMH0="));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_a_refused_login_is_reported() {
    let good = json!({"url": "tcp://a:1883", "topic": "t", "clientId": "c"});
    for (field, value) in [
        ("url", json!("ws://a:80")),
        ("url", json!("tcp://user@a:1883")),
        ("topic", json!("")),
        ("topic", json!("a/#/b")),
        ("clientId", json!("")),
        ("auth", json!({"password": {"name": "a", "key": "b"}})),
        ("connectionBackoff", json!({"duration": "soon"})),
    ] {
        let mut config = good.clone();
        config[field] = value;
        let error = refusal("mqtt", &config);
        let path = format!("spec.mqtt.event.{field}");
        assert!(error.starts_with(&path), "{error}");
    }
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut broker) = Server::mosquitto(None).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let wrong = orders(&broker, "s3cret", &json!({}));
    reported(&plane, &wrong, &bus, "NotAuthorized").await;
    broker.down();
    reported(&plane, &wrong, &bus, "refused").await;
    // The bus speaks another protocol.
    let url = nats.config().urls[0].replace("nats://", "tcp://");
    let other = orders(&broker, "hush", &json!({"url": url}));
    reported(&plane, &other, &bus, "MQTT").await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_tls_is_served_and_a_certificate_that_is_not_trusted_is_reported() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let shown = certified();
    let Some(broker) = Server::mosquitto(Some(&shown)).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let url = format!("ssl://localhost:{}", broker.tls_port);
    let with_ca = |ca: &str| {
        let auth =
            json!({"username": {"name": "m", "key": "u"}, "password": {"name": "m", "key": "p"}});
        let tls = json!({"caCertSecret": {"name": "m", "key": "ca"}});
        let config =
            json!({"url": url, "topic": "orders", "clientId": "source", "auth": auth, "tls": tls});
        source("mqtt", &[ca, "worker", "hush"], &config)
    };
    let untrusted = with_ca(&certified().cert.pem());
    reported(&plane, &untrusted, &bus, "certificate").await;
    let trusted = with_ca(&shown.cert.pem());
    plane.ensure_source(&trusted, &bus);
    subscribed(&nats, &broker, "orders").await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_of_emitter_is_a_topic_below_its_key() {
    let refused = json!({"broker": "tcp://a:8080", "channelKey": "k/k", "channelName": "orders"});
    assert!(refusal("emitter", &refused).starts_with("spec.emitter.event.channelKey"));
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut broker) = Server::mosquitto(None).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let config = json!({
        "broker": format!("tcp://127.0.0.1:{}", broker.port()),
        "channelKey": "k3y",
        "channelName": "orders",
        "username": {"name": "e", "key": "u"},
        "password": {"name": "e", "key": "p"},
        "jsonBody": true,
    });
    let channel = source("emitter", &["worker", "hush"], &config);
    plane.ensure_source(&channel, &bus);
    subscribed(&nats, &broker, "k3y/orders/").await;
    let first = nats.identified().await.remove(0).1;
    assert_eq!(
        first,
        json!({"topic": "k3y/orders/", "body": {"first": true}})
    );
    broker.stop().await;
    reported(&plane, &channel, &bus, "127.0.0.1").await;
    broker.up().await;
    until("the channel is subscribed again", || async {
        publish(&broker, "k3y/orders/", numbered(7..8)).await;
        numbers(&nats.identified().await).contains(&7)
    })
    .await;
    plane.stop().await;
}
