//! The source `azureQueueStorage` on Azurite.

mod support;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use events::source::CheckedSource;
use http::{HeaderMap, Method};
use jiff::Timestamp;
use ring::hmac;
use serde_json::{Value, json};

use support::{Nats, PATIENCE, Recording, Server, plane, refusal, reported, source, until, with};

/// Base64 of `s3cret-s3cret-s3cret`.
const KEY: &str = "czNjcmV0LXMzY3JldC1zM2NyZXQ=";

fn connection(server: &Server, key: &str) -> String {
    format!(
        "AccountName=shop;AccountKey={key};QueueEndpoint=http://127.0.0.1:{}/shop",
        server.port()
    )
}

fn signed(text: &str) -> String {
    let key = BASE64_STANDARD.decode(KEY).expect("base64");
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

/// Another client of the service.
async fn call(server: &Server, method: Method, path: &str, body: String) -> HeaderMap {
    reconcile_core::operator::install_tls();
    let now = reconcile_core::clock::Clock::system().now();
    let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT");
    let length = match body.len() {
        0 => String::new(),
        length => length.to_string(),
    };
    let resource = path.replace('?', "\n").replace('=', ":");
    let text = format!(
        "{method}\n\n\n{length}\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2021-12-02\n/shop/shop/{resource}"
    );
    let url = format!("http://127.0.0.1:{}/shop/{path}", server.port());
    let sent = reqwest::Client::new()
        .request(method, url)
        .header("x-ms-date", date.to_string())
        .header("x-ms-version", "2021-12-02")
        .header("authorization", format!("SharedKey shop:{}", signed(&text)))
        .body(body)
        .timeout(PATIENCE)
        .send();
    let answer = sent.await.expect("an answer");
    assert!(answer.status().is_success(), "{}", answer.status());
    answer.headers().clone()
}

async fn create(server: &Server) {
    call(server, Method::PUT, "orders", String::new()).await;
}

async fn send(server: &Server, text: &str) {
    let body = format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>");
    call(server, Method::POST, "orders/messages", body).await;
}

fn entry(connection: &str, more: &Value) -> Arc<CheckedSource> {
    let config = with(
        json!({
            "connectionString": {"name": "azure", "key": "c"}, "queueName": "orders", "jsonBody": true,
            "waitTimeInSeconds": 0,
        }),
        more,
    );
    source("azureQueueStorage", &[connection], &config)
}

#[test]
fn messages_survive_the_death_of_the_source_and_of_the_server() {
    const ALL: u64 = 600;
    let main = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = main.block_on(Nats::start()) else {
        return;
    };
    let Some(mut server) = main.block_on(Server::azurite(KEY)) else {
        return;
    };
    let source = entry(&connection(&server, KEY), &json!({}));
    let start = async || {
        let (bus, plane) = (nats.bus().await, plane());
        plane.ensure_source(&source, &bus);
        plane
    };
    main.block_on(async {
        create(&server).await;
        for n in 0..ALL / 2 {
            send(&server, &format!("{{\"n\":{n}}}")).await;
        }
    });
    // The first process is gone without a word while messages come in.
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    first.block_on(async {
        let plane = start().await;
        until("some are stored", || async { nats.count().await >= 40 }).await;
        std::mem::forget(plane);
    });
    first.shutdown_timeout(Duration::ZERO);
    main.block_on(async {
        let plane = start().await;
        server.stop().await;
        server.up().await;
        for n in ALL / 2..ALL {
            send(&server, &format!("{{\"n\":{n}}}")).await;
        }
        until("all are stored", || async { nats.count().await >= ALL }).await;
        let stored = nats.payloads().await;
        let numbers: BTreeSet<u64> = stored
            .iter()
            .filter_map(|payload| payload["body"]["n"].as_u64())
            .collect();
        assert_eq!(numbers, (0..ALL).collect());
        assert_eq!(nats.count().await, ALL, "some came twice");
        plane.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_decoded_and_what_cannot_be_an_event_goes_or_stays() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(server) = Server::azurite(KEY).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    create(&server).await;
    let expiry = "2099-01-01T00:00:00Z";
    let text = format!("shop\nrp\nq\nsco\n\n{expiry}\n\n\n2019-12-12\n");
    let signature: String =
        url::form_urlencoded::byte_serialize(signed(&text).as_bytes()).collect();
    let shared = format!(
        "QueueEndpoint=http://127.0.0.1:{}/shop/;SharedAccessSignature=sv=2019-12-12&ss=q&srt=sco&sp=rp&se={expiry}&sig={signature}",
        server.port()
    );
    let more = |keep: bool| {
        json!({
            "decodeMessage": true, "dlq": keep, "metadata": {"k": "v"}, "filter": {"expression": "body.n != 13"},
        })
    };
    for text in ["no base64!", "{", "{\"n\":13}", "{\"n\":14}"] {
        let coded = match text {
            "no base64!" => text.to_owned(),
            text => BASE64_STANDARD.encode(text),
        };
        send(&server, &coded).await;
    }
    // With those that are hidden.
    let left = async || {
        let headers = call(&server, Method::GET, "orders?comp=metadata", String::new()).await;
        let count = headers["x-ms-approximate-messages-count"].to_str();
        count.expect("text").to_owned()
    };
    plane.ensure_source(&entry(&shared, &more(true)), &bus);
    until("the good one is stored", || async {
        nats.count().await == 1
    })
    .await;
    let payload = nats.payloads().await.remove(0);
    let (id, time) = (&payload["messageID"], &payload["insertionTime"]);
    let inserted: Result<Timestamp, _> = time.as_str().expect("text").parse();
    assert!(inserted.is_ok(), "{time}");
    assert_eq!(
        payload,
        json!({"body": {"n": 14}, "messageID": id, "insertionTime": time, "metadata": {"k": "v"}})
    );
    send(&server, &BASE64_STANDARD.encode("{\"n\":15}")).await;
    until("the next one is stored", || async {
        nats.count().await == 2
    })
    .await;
    until("two stay", || async { left().await == "2" }).await;
    plane.ensure_source(&entry(&shared, &more(false)), &bus);
    // They are hidden for a while.
    until("the others are gone", || async { left().await == "0" }).await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_checked_and_what_the_service_refuses_is_reported() {
    let good = json!({"connectionString": {"name": "a", "key": "b"}, "queueName": "orders"});
    for (field, value) in [
        ("connectionString", json!(null)),
        ("queueName", json!("a/b")),
        ("queueName", json!("ab")),
        ("waitTimeInSeconds", json!(-1)),
    ] {
        let mut config = good.clone();
        config[field] = value;
        let error = refusal("azureQueueStorage", &config);
        let path = format!("spec.azureQueueStorage.event.{field}: ");
        assert!(error.starts_with(&path), "{error}");
    }
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut server) = Server::azurite(KEY).await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let with = |connection: &str| entry(connection, &json!({}));
    let key = BASE64_STANDARD.encode("other-s3cret");
    let wrong = with(&connection(&server, &key));
    reported(&plane, &wrong, &bus, "answered 403: the key").await;
    let good = with(&connection(&server, KEY));
    reported(&plane, &good, &bus, "no such queue").await;
    let no_key = with("AccountName=s3cret");
    reported(&plane, &no_key, &bus, "has no AccountKey").await;
    let page = Recording::answering(200, "<html>").await;
    let text = format!(
        "AccountName=shop;AccountKey={KEY};QueueEndpoint=http://{}",
        page.address
    );
    reported(&plane, &with(&text), &bus, "no list of messages").await;
    // The bus speaks another protocol.
    let url = nats.config().urls[0].replace("nats://", "http://");
    let text = format!("AccountName=shop;AccountKey={KEY};QueueEndpoint={url}");
    reported(&plane, &with(&text), &bus, "127.0.0.1").await;
    server.down();
    reported(&plane, &good, &bus, "refused").await;
    plane.stop().await;
}
