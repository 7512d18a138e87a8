//! The source `amqp` on a real RabbitMQ.
#![cfg(feature = "amqp")]

mod support;

use std::{collections::BTreeSet, ops::Range, time::Duration};

use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind,
    options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::{Value, json};

use support::{
    Nats, PATIENCE, Server, certified, numbers, plane, refusal, reported, source, until, with,
};

fn url(broker: &Server, password: &str) -> String {
    format!("amqp://worker:{password}@127.0.0.1:{}", broker.port())
}

/// The settings of a durable queue.
fn durable(broker: &Server, more: &Value) -> Value {
    with(
        json!({
            "url": format!("amqp://127.0.0.1:{}", broker.port()),
            "exchangeName": "shop",
            "exchangeType": "topic",
            "routingKey": "orders.*",
            "jsonBody": true,
            "auth": {"username": {"name": "r", "key": "u"}, "password": {"name": "r", "key": "p"}},
            "queueDeclare": {"name": "orders", "durable": true, "arguments": "x-max-length: 100000"},
            "consume": {"consumerTag": "events"},
        }),
        more,
    )
}

/// Another client, whose messages the broker confirms.
struct Publisher {
    _connection: Connection,
    channel: Channel,
}

impl Publisher {
    async fn connect(broker: &Server) -> Self {
        let address = url(broker, "hush");
        // A broker that starts listens before it takes logins.
        let connecting = async {
            loop {
                let properties = ConnectionProperties::default();
                match Connection::connect(&address, properties).await {
                    Ok(connection) => break connection,
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        };
        let connection = tokio::time::timeout(PATIENCE, connecting).await;
        let connection = connection.expect("connected in time");
        let channel = connection.create_channel().await.expect("a channel");
        let options = ConfirmSelectOptions::default();
        channel.confirm_select(options).await.expect("confirms");
        Self {
            _connection: connection,
            channel,
        }
    }

    /// Publishes, and returns when the broker has stored everything.
    async fn publish(&self, messages: impl IntoIterator<Item = (Vec<u8>, BasicProperties)>) {
        let mut confirmed = Vec::new();
        for (body, properties) in messages {
            let options = BasicPublishOptions::default();
            let (exchange, key) = ("shop".into(), "orders.new".into());
            let sent = self.channel.basic_publish(
                exchange,
                key,
                options,
                &body,
                properties.with_delivery_mode(2),
            );
            confirmed.push(sent.await.expect("sent"));
        }
        let all = futures::future::join_all(confirmed);
        for outcome in tokio::time::timeout(PATIENCE, all).await.expect("in time") {
            assert!(outcome.expect("an answer").is_ack());
        }
    }

    async fn numbers(&self, numbers: Range<usize>) {
        let messages = numbers.map(|n| (format!("{{\"n\":{n}}}").into_bytes(), plain()));
        self.publish(messages).await;
    }
}

fn plain() -> BasicProperties {
    BasicProperties::default()
}

/// Publishes until the source consumes, which the first event shows.
async fn subscribed(nats: &Nats, publisher: &Publisher) {
    until("the source is subscribed", || async {
        let first = b"{\"first\":true}".to_vec();
        publisher.publish([(first, plain())]).await;
        nats.count().await > 0
    })
    .await;
}

#[test]
fn ten_thousand_messages_survive_the_death_of_the_source_and_of_the_broker() {
    let main = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = main.block_on(Nats::start()) else {
        return;
    };
    let Some(mut broker) = main.block_on(Server::rabbitmq(None)) else {
        return;
    };
    let source = source("amqp", &["worker", "hush"], &durable(&broker, &json!({})));
    let start = async || {
        let (bus, plane) = (nats.bus().await, plane());
        plane.ensure_source(&source, &bus);
        plane
    };
    // The first process is gone without a word while messages come in.
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    first.block_on(async {
        let plane = start().await;
        let publisher = Publisher::connect(&broker).await;
        declared(&publisher).await;
        subscribed(&nats, &publisher).await;
        publisher.numbers(0..5000).await;
        until("some are stored", || async { nats.count().await >= 500 }).await;
        std::mem::forget(plane);
    });
    first.shutdown_timeout(Duration::ZERO);
    main.block_on(async {
        let publisher = Publisher::connect(&broker).await;
        // The broker keeps what comes in while nobody is there.
        publisher.numbers(5000..7000).await;
        let plane = start().await;
        publisher.numbers(7000..8000).await;
        broker.down();
        broker.up().await;
        let publisher = Publisher::connect(&broker).await;
        publisher.numbers(8000..10_000).await;
        until("all are stored", || async {
            nats.count().await > 10_000 && numbers(&nats.identified().await).len() >= 10_000
        })
        .await;
        let stored = nats.identified().await;
        let ids: BTreeSet<&str> = stored.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids.len(), stored.len());
        let mut numbers = numbers(&stored);
        numbers.sort_unstable();
        assert!(numbers.is_sorted_by(|a, b| a < b), "some came twice");
        assert_eq!((numbers.len(), numbers.last()), (10_000, Some(&9999)));
        plane.stop().await;
    });
}

/// The exchange, before the source may have declared it: the same settings declare nothing twice.
async fn declared(publisher: &Publisher) {
    let options = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let (exchange, arguments) = ("shop".into(), FieldTable::default());
    let declared =
        publisher
            .channel
            .exchange_declare(exchange, ExchangeKind::Topic, options, arguments);
    declared.await.expect("declared");
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_are_in_the_payload_and_messages_that_cannot_be_events_are_refused() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(broker) = Server::rabbitmq(None).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let more = json!({"metadata": {"k": "v"}, "filter": {"expression": "body.n != 13"}, "auth": null,
            "url": "", "urlSecret": {"name": "r", "key": "url"}, "consume": {"autoAck": true}});
    let source = source("amqp", &[&url(&broker, "hush")], &durable(&broker, &more));
    plane.ensure_source(&source, &bus);
    let publisher = Publisher::connect(&broker).await;
    declared(&publisher).await;
    subscribed(&nats, &publisher).await;
    let mut headers = FieldTable::default();
    headers.insert("tenant".into(), AMQPValue::LongString("a".into()));
    let properties = plain()
        .with_content_type("application/json".into())
        .with_message_id("m-1".into())
        .with_timestamp(1_577_836_800)
        .with_type("order".into())
        .with_headers(headers);
    publisher
        .publish([
            (vec![b' '; 20 << 20], plain()),
            (b"{".to_vec(), plain()),
            (b"{\"n\":13}".to_vec(), plain()),
            (b"{\"n\":14}".to_vec(), properties),
            // Two messages, though they look the same.
            (b"{\"n\":15}".to_vec(), plain()),
            (b"{\"n\":15}".to_vec(), plain()),
        ])
        .await;
    until("the good ones are stored", || async {
        let mut numbers = numbers(&nats.identified().await);
        numbers.sort_unstable();
        numbers == [14, 15, 15]
    })
    .await;
    let stored = nats.identified().await;
    let of = stored
        .iter()
        .find(|(_, payload)| payload["body"]["n"] == 14);
    assert_eq!(
        of.expect("stored").1,
        json!({
            "contentType": "application/json", "contentEncoding": "", "deliveryMode": 2, "priority": 0,
            "correlationId": "", "replyTo": "", "expiration": "", "messageId": "m-1",
            "timestamp": "2020-01-01 00:00:00 +0000 UTC", "type": "order", "appId": "",
            "exchange": "shop", "routingKey": "orders.new", "headers": {"tenant": "a"},
            "body": {"n": 14}, "metadata": {"k": "v"},
        })
    );
    assert_eq!(stored[0].1["timestamp"], "0001-01-01 00:00:00 +0000 UTC");
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_what_the_broker_refuses_is_reported() {
    let good = json!({"url": "amqp://a", "exchangeName": "e", "exchangeType": "fanout"});
    for (field, value) in [
        ("url", json!("http://a")),
        ("url", json!("amqp://")),
        ("exchangeName", json!("")),
        ("exchangeType", json!("")),
        ("routingKey", json!("k".repeat(256))),
        ("auth", json!({"username": {"name": "a", "key": "b"}})),
        ("queueDeclare.arguments", json!("- a")),
    ] {
        let mut config = good.clone();
        match field.split_once('.') {
            Some((outer, inner)) => config[outer] = json!({inner: value}),
            None => config[field] = value,
        }
        let error = refusal("amqp", &config);
        let path = format!("spec.amqp.event.{field}: ");
        assert!(error.starts_with(&path), "{error}");
    }
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut broker) = Server::rabbitmq(None).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let with = |password: &str, more: &Value| {
        source("amqp", &["worker", password], &durable(&broker, more))
    };
    let wrong = with("s3cret", &json!({}));
    reported(&plane, &wrong, &bus, "ACCESS_REFUSED").await;
    let publisher = Publisher::connect(&broker).await;
    declared(&publisher).await;
    let other_type = with("hush", &json!({"exchangeType": "fanout"}));
    reported(&plane, &other_type, &bus, "PRECONDITION_FAILED").await;
    let no_plugin = json!({"exchangeType": "x-nowhere", "exchangeName": "delayed"});
    reported(&plane, &with("hush", &no_plugin), &bus, "exchange").await;
    // The bus speaks another protocol.
    let bus_url = nats.config().urls[0].replace("nats://", "amqp://");
    let other = with("hush", &json!({"url": bus_url}));
    reported(&plane, &other, &bus, "127.0.0.1").await;
    let secret_url = json!({"url": "", "auth": null, "urlSecret": {"name": "r", "key": "url"}});
    let secret_url = durable(&broker, &secret_url);
    let no_url = source("amqp", &["s3cret"], &secret_url);
    reported(&plane, &no_url, &bus, "urlSecret").await;
    let in_url = source("amqp", &[&url(&broker, "s3cret")], &secret_url);
    reported(&plane, &in_url, &bus, "ACCESS_REFUSED").await;
    broker.down();
    reported(&plane, &wrong, &bus, "refused").await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_with_tls_is_served_and_a_certificate_that_is_not_trusted_is_reported() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let shown = certified();
    let Some(broker) = Server::rabbitmq(Some(&shown)).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let more = json!({
        "url": format!("amqps://localhost:{}", broker.tls_port),
        "tls": {"caCertSecret": {"name": "r", "key": "ca"}},
    });
    let with_ca = |ca: &str| source("amqp", &[ca, "worker", "hush"], &durable(&broker, &more));
    let untrusted = with_ca(&certified().cert.pem());
    reported(&plane, &untrusted, &bus, "certificate").await;
    let trusted = with_ca(&shown.cert.pem());
    plane.ensure_source(&trusted, &bus);
    let publisher = Publisher::connect(&broker).await;
    declared(&publisher).await;
    subscribed(&nats, &publisher).await;
    plane.stop().await;
}
