//! What Argo CD's components do, by a client library in both versions of the protocol.

use std::io::Read;

use flate2::read::GzDecoder;
use futures::StreamExt;
use redis::{AsyncCommands, Client, aio::MultiplexedConnection};

use super::{PASSWORD, Served, serve, soon};

const TREE: &str = "app|resources-tree|shop|1.8.3";

fn client(served: &Served, password: &str, protocol: &str) -> Client {
    let port = served.port;
    Client::open(format!(
        "redis://:{password}@127.0.0.1:{port}/?protocol={protocol}"
    ))
    .expect("a URL")
}

pub(super) async fn connect(served: &Served, protocol: &str) -> MultiplexedConnection {
    let client = client(served, PASSWORD, protocol);
    let connection = soon("a connection", client.get_multiplexed_async_connection()).await;
    connection.expect("a connection")
}

#[tokio::test]
async fn values_are_kept_for_their_time_in_both_versions() {
    let served = serve().await;
    for protocol in ["resp2", "resp3"] {
        let mut client = connect(&served, protocol).await;
        let _: () = redis::cmd("SET")
            .arg("revoked-token|a")
            .arg("1")
            .arg("EX")
            .arg(3600)
            .query_async(&mut client)
            .await
            .expect("set");
        let _: () = client
            .set("other", vec![0u8, 13, 10, 255])
            .await
            .expect("set");
        let bytes: Vec<u8> = client.get("other").await.expect("get");
        assert_eq!(bytes, [0, 13, 10, 255]);
        let missing: Option<String> = client.get("none").await.expect("get");
        assert_eq!(missing, None);
        let left: i64 = client.ttl("revoked-token|a").await.expect("ttl");
        assert!((3000..=3600).contains(&left), "{left}");
        let found: usize = client.exists(&["other", "none"]).await.expect("exists");
        assert_eq!(found, 1);
        let scan: (String, Vec<String>) = redis::cmd("SCAN")
            .arg(0)
            .arg("MATCH")
            .arg("revoked-token|*")
            .arg("COUNT")
            .arg(10)
            .query_async(&mut client)
            .await
            .expect("scan");
        assert_eq!(scan, ("0".to_owned(), vec!["revoked-token|a".to_owned()]));
        let _: () = client.rename("other", "third").await.expect("rename");
        let removed: usize = client
            .del(&["third", "revoked-token|a"])
            .await
            .expect("del");
        assert_eq!(removed, 2);
    }
}

#[tokio::test]
async fn a_tree_is_answered_as_the_key_asks_for_it() {
    let served = serve().await;
    let mut client = connect(&served, "resp3").await;
    let packed: Vec<u8> = client.get(format!("{TREE}.gz")).await.expect("get");
    let mut text = String::new();
    GzDecoder::new(packed.as_slice())
        .read_to_string(&mut text)
        .expect("gzip");
    assert_eq!(text, r#"{"nodes":[]}"#);
    let plain: String = client.get(TREE).await.expect("get");
    assert_eq!(plain, text);
    let cluster: String = client.get("cluster|info|shop|1.8.3").await.expect("get");
    assert_eq!(cluster, "{}");
    let missing: Option<String> = client
        .get("app|managed-resources|none|1.8.3")
        .await
        .expect("get");
    assert_eq!(missing, None);
}

#[tokio::test]
async fn clients_cannot_write_what_the_controller_answers() {
    let served = serve().await;
    let mut client = connect(&served, "resp2").await;
    let _: () = client.set(TREE, "forged").await.expect("set");
    let tree: String = client.get(TREE).await.expect("get");
    assert_eq!(tree, r#"{"nodes":[]}"#);
}

#[tokio::test]
async fn an_answer_that_cannot_be_made_is_an_error_and_the_connection_stays() {
    let served = serve().await;
    let mut client = connect(&served, "resp3").await;
    let failed = client
        .get::<_, String>("app|resources-tree|broken|1.8.3.gz")
        .await;
    let error = failed.expect_err("an error").to_string();
    assert!(error.contains("the cluster does not answer"), "{error}");
    let unknown = redis::cmd("FLUSHALL").query_async::<()>(&mut client).await;
    assert!(
        unknown
            .expect_err("an error")
            .to_string()
            .contains("unknown command")
    );
    let pong: String = redis::cmd("PING")
        .query_async(&mut client)
        .await
        .expect("ping");
    assert_eq!(pong, "PONG");
}

#[tokio::test]
async fn changes_are_published_to_those_who_subscribed() {
    let served = serve().await;
    for protocol in ["resp2", "resp3"] {
        let client = client(&served, PASSWORD, protocol);
        let mut messages = soon("a connection", client.get_async_pubsub())
            .await
            .expect("pubsub");
        messages
            .subscribe("app|managed-resources|shop")
            .await
            .expect("subscribe");
        served.publisher.changed("other");
        served.publisher.changed("shop");
        let mut stream = messages.on_message();
        let message = soon("a message", stream.next()).await.expect("a message");
        assert_eq!(message.get_channel_name(), "app|managed-resources|shop");
        assert_eq!(message.get_payload_bytes(), b"");
    }
}

#[tokio::test]
async fn clients_publish_to_each_other() {
    let served = serve().await;
    let subscriber = client(&served, PASSWORD, "resp2");
    let mut messages = subscriber.get_async_pubsub().await.expect("pubsub");
    messages
        .subscribe("new-revoked-token")
        .await
        .expect("subscribe");
    let mut publisher = connect(&served, "resp3").await;
    let receivers: usize = publisher
        .publish("new-revoked-token", "id")
        .await
        .expect("publish");
    assert_eq!(receivers, 1);
    let message = soon("a message", messages.on_message().next())
        .await
        .expect("a message");
    assert_eq!(message.get_payload::<String>().expect("text"), "id");
    messages
        .unsubscribe("new-revoked-token")
        .await
        .expect("unsubscribe");
    let receivers: usize = publisher
        .publish("new-revoked-token", "id")
        .await
        .expect("publish");
    assert_eq!(receivers, 0);
}

#[tokio::test]
async fn a_wrong_password_lets_nobody_in() {
    let served = serve().await;
    for protocol in ["resp2", "resp3"] {
        let wrong = client(&served, "guess", protocol);
        let refused = soon("an answer", wrong.get_multiplexed_async_connection()).await;
        assert!(refused.is_err(), "{protocol}");
    }
    assert_eq!(
        served.live.made.load(std::sync::atomic::Ordering::SeqCst),
        0
    );
}
