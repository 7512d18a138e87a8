//! The source and the trigger `kafka` on a real broker.

mod support;

use std::{collections::BTreeSet, ops::Range, time::Duration};

use serde_json::{Value, json};

use support::{
    Kafka, Nats, Stage, certified, plane, refusal, reported, sorted_numbers, source, until, with,
};

/// The settings of a consumer group.
fn group(broker: &Kafka, more: &Value) -> Value {
    with(
        json!({
            "url": format!("127.0.0.1:{}", broker.port()),
            "topic": "orders",
            "jsonBody": true,
            "consumerGroup": {"groupName": "events", "oldest": true, "rebalanceStrategy": "roundrobin"},
        }),
        more,
    )
}

async fn create(broker: &Kafka, topic: &str) {
    broker.client(&["create", topic, "3"], &[]).await;
}

async fn publish(broker: &Kafka, numbers: Range<usize>) {
    let (first, end) = (numbers.start.to_string(), numbers.end.to_string());
    broker
        .client(&["numbers", "orders", &first, &end], &[])
        .await;
}

#[test]
fn ten_thousand_records_survive_the_death_of_the_source_and_of_the_broker() {
    let main = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = main.block_on(Nats::start()) else {
        return;
    };
    let Some(mut broker) = main.block_on(Kafka::start(None)) else {
        return;
    };
    let source = source("kafka", &[], &group(&broker, &json!({})));
    // The first process is gone without a word while records come in.
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    first.block_on(async {
        create(&broker, "orders").await;
        let (bus, plane) = (nats.bus().await, plane());
        plane.ensure_source(&source, &bus);
        publish(&broker, 0..5000).await;
        until("some are stored", || async { nats.count().await >= 500 }).await;
        std::mem::forget(plane);
    });
    first.shutdown_timeout(Duration::ZERO);
    main.block_on(async {
        publish(&broker, 5000..7000).await;
        let (bus, plane) = (nats.bus().await, plane());
        plane.ensure_source(&source, &bus);
        publish(&broker, 7000..8000).await;
        broker.down();
        broker.up().await;
        publish(&broker, 8000..10_000).await;
        until("all are stored", || async { nats.count().await >= 10_000 }).await;
        let stored = nats.identified().await;
        let ids: BTreeSet<&str> = stored.iter().map(|(id, _)| id.as_str()).collect();
        let numbers = sorted_numbers(&stored);
        assert_eq!((ids.len(), stored.len()), (10_000, 10_000));
        assert!(numbers.is_sorted_by(|a, b| a < b), "some came twice");
        assert_eq!(numbers.last(), Some(&9999));
        plane.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn members_of_a_group_share_its_topics() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(broker) = Kafka::start(None).await else {
        return;
    };
    create(&broker, "orders").await;
    create(&broker, "carts").await;
    let (bus, first, second, third) = (nats.bus().await, plane(), plane(), plane());
    let orders = source("kafka", &[], &group(&broker, &json!({})));
    let carts = source("kafka", &[], &group(&broker, &json!({"topic": "carts"})));
    first.ensure_source(&orders, &bus);
    second.ensure_source(&carts, &bus);
    publish(&broker, 0..10).await;
    let cart = json!({"value": "{\"n\":10}"});
    broker.client(&["publish", "carts"], &[cart]).await;
    until("all are stored", || async { nats.count().await == 11 }).await;
    // Partitions move to a member that joins, and back when one leaves.
    third.ensure_source(&orders, &bus);
    publish(&broker, 11..20).await;
    until("all are stored", || async { nats.count().await == 20 }).await;
    first.stop().await;
    publish(&broker, 20..30).await;
    until("all are stored", || async { nats.count().await == 30 }).await;
    let stored = nats.identified().await;
    assert_eq!(sorted_numbers(&stored), (0..30).collect::<Vec<u64>>());
    second.stop().await;
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_every_compression_are_events_and_those_that_cannot_be_are_refused() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(broker) = Kafka::start(None).await else {
        return;
    };
    create(&broker, "orders").await;
    let (bus, plane) = (nats.bus().await, plane());
    let more = json!({"consumerGroup": null, "partition": "1", "metadata": {"k": "v"},
        "filter": {"expression": "body.n != 13"}, "limitEventsPerSecond": 1000});
    let source = source("kafka", &[], &group(&broker, &more));
    let first = json!({"value": "{\"first\":true}", "partition": 1});
    plane.ensure_source(&source, &bus);
    // The source begins with the next record.
    until("the source reads", || async {
        broker
            .client(&["publish", "orders"], std::slice::from_ref(&first))
            .await;
        nats.count().await > 0
    })
    .await;
    let headers = json!({"tenant": "a"});
    let bad = [
        json!({"size": 20 << 20, "partition": 1}),
        json!({"size": 40 << 20, "partition": 1}),
        json!({"value": "{", "partition": 1}),
        json!({"value": "{\"n\":13}", "partition": 1}),
        json!({"value": "{\"n\":14}", "partition": 2}),
    ];
    broker.client(&["publish", "orders"], &bad).await;
    for (n, compression) in ["gzip", "snappy", "lz4", "zstd"].into_iter().enumerate() {
        let padding = " ".repeat(200_000);
        let record = json!({"value": format!("{{\"n\":{n}}}{padding}"), "key": "k", "headers": headers, "partition": 1,
            "timestamp": 1_577_836_800_120_u64});
        broker
            .client(&["publish", "orders", compression], &[record])
            .await;
    }
    until("the good ones are stored", || async {
        sorted_numbers(&nats.identified().await) == [0, 1, 2, 3]
    })
    .await;
    let stored = nats.identified().await;
    let zero = stored.iter().find(|(_, payload)| payload["body"]["n"] == 0);
    assert_eq!(
        zero.expect("stored").1,
        json!({
            "topic": "orders", "key": "k", "partition": 1, "timestamp": "2020-01-01 00:00:00.12 +0000 UTC",
            "headers": {"tenant": "a"}, "body": {"n": 0}, "metadata": {"k": "v"},
        })
    );
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_log_in_and_brokers_show_their_certificates() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let shown = certified();
    let Some(broker) = Kafka::start(Some(&shown)).await else {
        return;
    };
    create(&broker, "orders").await;
    let (bus, plane) = (nats.bus().await, plane());
    let mut wanted = 0;
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let more = json!({
            "url": format!("127.0.0.1:{}", broker.sasl_port),
            "sasl": {"mechanism": mechanism, "userSecret": {"name": "k", "key": "u"}, "passwordSecret": {"name": "k", "key": "p"}},
        });
        let config = group(&broker, &more);
        let wrong = source("kafka", &["worker", "s3cret"], &config);
        reported(&plane, &wrong, &bus, "uthentication").await;
        plane.ensure_source(&source("kafka", &["worker", "hush"], &config), &bus);
        publish(&broker, wanted..wanted + 1).await;
        wanted += 1;
        until("the record is stored", || async {
            nats.count().await == wanted as u64
        })
        .await;
    }
    let more = json!({
        "url": format!("localhost:{}", broker.tls_port),
        "tls": {"caCertSecret": {"name": "k", "key": "ca"}},
    });
    let with_ca = |ca: &str| source("kafka", &[ca], &group(&broker, &more));
    let untrusted = with_ca(&certified().cert.pem());
    reported(&plane, &untrusted, &bus, "certificate").await;
    plane.ensure_source(&with_ca(&shown.cert.pem()), &bus);
    publish(&broker, wanted..wanted + 1).await;
    until("the record is stored", || async {
        nats.count().await == wanted as u64 + 1
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_what_the_broker_refuses_is_reported() {
    let good = json!({"url": "a", "topic": "t", "partition": "0"});
    for (field, value) in [
        ("url", json!("http://a/b")),
        ("topic", json!("")),
        ("partition", json!("first")),
        ("consumerGroup.groupName", json!("")),
        ("limitEventsPerSecond", json!(-1)),
        ("sasl.mechanism", json!("GSSAPI")),
        ("schemaRegistry", json!({"url": "http://r"})),
    ] {
        let mut config = good.clone();
        match field.split_once('.') {
            Some((outer, inner)) => config[outer] = json!({inner: value}),
            None => config[field] = value,
        }
        let error = refusal("kafka", &config);
        let path = format!("spec.kafka.event.{field}: ");
        assert!(error.starts_with(&path), "{error}");
    }
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut broker) = Kafka::start(None).await else {
        return;
    };
    create(&broker, "orders").await;
    let (bus, plane) = (nats.bus().await, plane());
    let with = |more: &Value| source("kafka", &[], &group(&broker, more));
    let nowhere = with(&json!({"topic": "nowhere"}));
    reported(&plane, &nowhere, &bus, "UNKNOWN_TOPIC").await;
    let ninth = with(&json!({"consumerGroup": null, "partition": "9"}));
    reported(&plane, &ninth, &bus, "no partition 9").await;
    // The bus speaks another protocol.
    let bus_url = nats.config().urls[0].replace("nats://", "");
    reported(&plane, &with(&json!({"url": bus_url})), &bus, "127.0.0.1").await;
    let good = with(&json!({}));
    broker.down();
    reported(&plane, &good, &bus, "refused").await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_publishes_records_that_another_client_reads() {
    let Some(stage) = Stage::start().await else {
        return;
    };
    let Some(broker) = Kafka::start(None).await else {
        return;
    };
    create(&broker, "done").await;
    let mut spec = stage.spec(&["a"]);
    let payload = json!([{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "n"}]);
    let template = |name: &str, more: &Value| {
        let kafka = with(
            json!({
                "url": format!("127.0.0.1:{}", broker.port()), "topic": "done", "payload": payload,
            }),
            more,
        );
        json!({"template": {"name": name, "kafka": kafka}})
    };
    spec["triggers"] = json!([
        template("plain", &json!({})),
        template(
            "all",
            &json!({"compress": true, "requiredAcks": 1, "partitioningKey": "k", "headers": {"tenant": "a"}})
        ),
    ]);
    stage.run(&spec).await;
    stage.publish("a", 7).await;
    let mut records = broker.client(&["consume", "done", "2"], &[]).await;
    records.sort_by_key(|record| record["key"].is_null());
    let value = "{\"n\":\"7\"}";
    // The hash of the key, as the original has it, chooses the partition.
    let keyed = json!({"key": "k", "value": value, "partition": 1, "headers": {"tenant": "a"}});
    assert_eq!(records[0], keyed);
    assert_eq!(
        (&records[1]["value"], &records[1]["key"]),
        (&json!(value), &json!(null))
    );
    stage.plane.stop().await;
}
