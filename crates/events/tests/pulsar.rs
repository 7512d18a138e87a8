//! The source `pulsar` on a real broker.

mod support;

use std::{collections::BTreeSet, ops::Range, time::Duration};

use serde_json::{Value, json};

use support::{
    Nats, Pulsar, certified, plane, refusal, reported, sorted_numbers, source, token, until, with,
};

fn config(broker: &Pulsar, more: &Value) -> Value {
    with(
        json!({
            "url": format!("pulsar://localhost:{}", broker.port()),
            "topics": ["orders"], "type": "shared", "jsonBody": true,
            "connectionBackoff": {"duration": "500ms", "steps": 1},
        }),
        more,
    )
}

async fn publish(broker: &Pulsar, numbers: Range<usize>) {
    let (first, end) = (numbers.start.to_string(), numbers.end.to_string());
    broker
        .client(&["numbers", "orders", &first, &end], &[])
        .await;
}

/// Everything is stored, and what came twice had one id.
async fn complete(nats: &Nats, count: u64) {
    until("all are stored", || async { nats.count().await >= count }).await;
    let stored = nats.identified().await;
    let ids: BTreeSet<&str> = stored.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(sorted_numbers(&stored), (0..count).collect::<Vec<u64>>());
    assert_eq!(ids.len(), stored.len());
}

#[test]
fn ten_thousand_messages_survive_the_death_of_the_source_and_of_the_broker() {
    let main = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = main.block_on(Nats::start()) else {
        return;
    };
    let Some(mut broker) = main.block_on(Pulsar::start(None)) else {
        return;
    };
    let source = source(
        "pulsar",
        &[],
        &config(&broker, &json!({"topics": ["orders"]})),
    );
    // The first process is gone without a word while messages come in.
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    first.block_on(async {
        broker.create("orders", 3).await;
        let (bus, plane) = (nats.bus().await, plane());
        plane.ensure_source(&source, &bus);
        for part in 0..3 {
            broker.subscribed(&format!("orders-partition-{part}")).await;
        }
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
        complete(&nats, 10_000).await;
        until("all are acknowledged", || async {
            let mut left = 0;
            for part in 0..3 {
                let topic = format!("orders-partition-{part}");
                left += broker.backlog(&topic).await.unwrap_or(1);
            }
            left == 0
        })
        .await;
        plane.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_compression_are_events_and_those_that_cannot_be_are_refused() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(broker) = Pulsar::start(None).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let more = json!({
        "type": "exclusive", "topics": ["orders", "persistent://public/default/carts"],
        "metadata": {"k": "v"}, "filter": {"expression": "body.n != 13"},
    });
    plane.ensure_source(&source("pulsar", &[], &config(&broker, &more)), &bus);
    broker.subscribed("orders").await;
    broker.subscribed("carts").await;
    let bad = [
        json!({"value": "{"}),
        json!({"value": "{\"n\":13}"}),
        json!({"size": 2 << 20}),
        json!({"size": 12 << 20}),
    ];
    broker.client(&["alone", "orders"], &bad).await;
    // They are small on their way.
    broker.client(&["alone", "orders", "ZSTD"], &bad).await;
    let chunks = json!({"size": 20 << 20});
    broker.client(&["chunks", "orders"], &[chunks]).await;
    let mut wanted = 0;
    for compression in ["NONE", "LZ4", "ZLib", "ZSTD", "SNAPPY"] {
        for (what, topic) in [("alone", "orders"), ("publish", "carts")] {
            let padding = " ".repeat(100_000);
            let lines: Vec<Value> = (wanted..wanted + 3)
                .map(|n| json!({"value": format!("{{\"n\":{}}}{padding}", 100 + n), "key": "k"}))
                .collect();
            wanted += 3;
            broker.client(&[what, topic, compression], &lines).await;
        }
    }
    until("the good ones are stored", || async {
        nats.count().await >= 30
    })
    .await;
    let stored = nats.identified().await;
    assert_eq!(sorted_numbers(&stored), (100..130).collect::<Vec<u64>>());
    let payload = &stored[0].1;
    let time = payload["publishTime"].as_str().expect("text");
    assert!(
        time.ends_with(" +0000 UTC") && time.starts_with("20"),
        "{time}"
    );
    assert_eq!(
        *payload,
        json!({"key": "k", "publishTime": time, "body": payload["body"], "metadata": {"k": "v"}})
    );
    // What was refused does not come again.
    until("all are acknowledged", || async {
        broker.backlog("orders").await == Some(0) && broker.backlog("carts").await == Some(0)
    })
    .await;
    // The topic moves to another broker.
    broker.unload("orders").await;
    broker.subscribed("orders").await;
    let last = json!({"value": "{\"n\":130}"});
    broker.client(&["alone", "orders"], &[last]).await;
    until("the last one is stored", || async {
        nats.count().await == 31
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::too_many_lines,
    reason = "one broker that asks for certificates and tokens, and three clients that bring them"
)]
async fn clients_log_in_and_brokers_show_their_certificates() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (shown, client) = (certified(), certified());
    let Some(broker) = Pulsar::start(Some((&shown, &client))).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let secret = |key: &str| json!({"name": "p", "key": key});
    let url = format!("pulsar+ssl://localhost:{}", broker.tls_port);
    let encrypted = with(
        config(&broker, &json!({"url": url})),
        &json!({"tlsTrustCertsSecret": secret("ca"), "authTokenSecret": secret("token")}),
    );
    let with_token = |ca: &str, token: &str| source("pulsar", &[ca, token], &encrypted);
    let (trusted, good) = (shown.cert.pem(), token("worker"));
    let untrusted = with_token(&certified().cert.pem(), &good);
    reported(&plane, &untrusted, &bus, "certificate").await;
    let nonsense = with_token("s3cret", &good);
    reported(&plane, &nonsense, &bus, "tlsTrustCertsSecret: ").await;
    let wrong = good.replace('.', ".s3cret");
    reported(
        &plane,
        &with_token(&trusted, &wrong),
        &bus,
        "AuthenticationError",
    )
    .await;
    // The certificate is for another name.
    let other = encrypted["url"]
        .as_str()
        .expect("text")
        .replace("localhost", "127.0.0.1");
    let other = with(encrypted.clone(), &json!({"url": other}));
    let other = source("pulsar", &[&trusted, &good], &other);
    reported(&plane, &other, &bus, "127.0.0.1").await;
    let plain = config(&broker, &json!({}));
    reported(
        &plane,
        &source("pulsar", &[], &plain),
        &bus,
        "AuthenticationError",
    )
    .await;
    let certificate = with(
        encrypted.clone(),
        &json!({"authTokenSecret": null, "tls": {
            "clientCertSecret": secret("cert"), "clientKeySecret": secret("key"),
        }}),
    );
    let key = client.signing_key.serialize_pem();
    let insecure = with(
        config(
            &broker,
            &json!({"url": url, "tlsAllowInsecureConnection": true}),
        ),
        &json!({"authTokenSecret": secret("token")}),
    );
    let sources = [
        with_token(&trusted, &format!("{good}\n")),
        source(
            "pulsar",
            &[&trusted, &client.cert.pem(), &key],
            &certificate,
        ),
        source("pulsar", &[&good], &insecure),
    ];
    for (sent, source) in (0..).zip(sources) {
        plane.ensure_source(&source, &bus);
        until("it reads", || async {
            plane.ensure_source(&source, &bus).interrupted.is_empty()
                && broker.stats("orders").await["subscriptions"]["event"]["consumers"]
                    .as_array()
                    .is_some_and(|all| all.len() == 1)
        })
        .await;
        publish(&broker, sent..sent + 1).await;
        until("it is stored", || async {
            nats.count().await == sent as u64 + 1
        })
        .await;
    }
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_what_the_broker_refuses_is_reported() {
    let good = json!({"url": "pulsar://a", "topics": ["t"], "type": "shared"});
    for (field, at, value) in [
        ("url", "url", json!("http://a:8080")),
        ("url", "url", json!("")),
        ("topics", "topics", json!([])),
        ("topics", "topics[0]", json!(["a/b"])),
        ("type", "type", json!("failover")),
        ("type", "type", json!("")),
        (
            "authAthenzSecret",
            "authAthenzSecret",
            json!({"name": "a", "key": "b"}),
        ),
        (
            "connectionBackoff",
            "connectionBackoff.steps",
            json!({"steps": -1}),
        ),
    ] {
        let config = with(good.clone(), &json!({field: value}));
        let error = refusal("pulsar", &config);
        let path = format!("spec.pulsar.event.{at}: ");
        assert!(error.starts_with(&path), "{error}");
    }
    let Some(mut nats) = Nats::start().await else {
        return;
    };
    let Some(mut broker) = Pulsar::start(None).await else {
        return;
    };
    let (bus, plane, second) = (nats.bus().await, plane(), support::plane());
    let with = |more: &Value| source("pulsar", &[], &config(&broker, more));
    let missing = with(&json!({"topics": ["nobody/has/this"]}));
    reported(&plane, &missing, &bus, "nobody/has/this").await;
    // The bus speaks another protocol.
    let url = nats.config().urls[0].replace("nats://", "pulsar://");
    let other = with(&json!({"url": url}));
    reported(&plane, &other, &bus, "not that of a Pulsar broker").await;
    let tls = format!("pulsar+ssl://localhost:{}", broker.port());
    reported(&plane, &with(&json!({"url": tls})), &bus, "localhost").await;
    let only = with(&json!({"type": "exclusive"}));
    plane.ensure_source(&only, &bus);
    broker.subscribed("orders").await;
    reported(&second, &only, &bus, "ConsumerBusy").await;
    // A message that the bus does not take stays at the broker.
    nats.down();
    publish(&broker, 0..1).await;
    until("it is there", || async {
        broker.backlog("orders").await == Some(1)
    })
    .await;
    nats.up().await;
    drop(nats.bus().await);
    until("it is stored", || async { nats.count().await == 1 }).await;
    plane.stop().await;
    // Who waited is next.
    second.ensure_source(&only, &bus);
    publish(&broker, 1..2).await;
    until("it is stored", || async { nats.count().await == 2 }).await;
    broker.down();
    reported(&second, &only, &bus, "refused").await;
    second.stop().await;
}
