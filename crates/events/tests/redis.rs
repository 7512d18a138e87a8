//! The sources `redis` and `redisStream` on a real redis-server.

mod support;

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use support::{Nats, Server, plane, source, until};

fn config(redis: &Server, more: &Value) -> Value {
    let mut config = more.clone();
    config["hostAddress"] = json!(format!("127.0.0.1:{}", redis.port()));
    config["password"] = json!({"name": "redis", "key": "password"});
    config
}

/// Another client of the server.
struct Client(BufReader<TcpStream>);

impl Client {
    async fn connect(redis: &Server) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", redis.port()))
            .await
            .expect("connected");
        let mut client = Self(BufReader::new(stream));
        assert_eq!(client.ask("AUTH hush").await, "+OK");
        client
    }

    /// The first line of the answer.
    async fn ask(&mut self, command: &str) -> String {
        self.send(command).await;
        self.line().await
    }

    async fn send(&mut self, command: &str) {
        let command = format!("{command}\r\n");
        self.0.write_all(command.as_bytes()).await.expect("written");
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.expect("an answer");
        line.trim_end().to_owned()
    }

    /// Adds numbered entries to the stream `orders`.
    async fn add(&mut self, numbers: std::ops::Range<usize>) {
        for n in numbers.clone() {
            self.send(&format!("XADD orders * n {n}")).await;
        }
        for _ in numbers {
            assert!(self.line().await.starts_with('$'));
            self.line().await;
        }
    }
}

/// All payloads of the stream of events, with the ids of the events.
#[test]
fn ten_thousand_entries_of_a_stream_survive_the_death_of_the_source_and_of_the_server() {
    let main = tokio::runtime::Runtime::new().expect("a runtime");
    let Some(nats) = main.block_on(Nats::start()) else {
        return;
    };
    let Some(mut redis) = main.block_on(Server::redis()) else {
        return;
    };
    let source = source(
        "redisStream",
        &["hush"],
        &config(&redis, &json!({"streams": ["orders"]})),
    );
    let start = async || {
        let (bus, plane) = (nats.bus().await, plane());
        plane.ensure_source(&source, &bus);
        plane
    };
    // The first process is gone without a word while entries come in.
    let first = tokio::runtime::Runtime::new().expect("a runtime");
    first.block_on(async {
        let plane = start().await;
        let mut client = Client::connect(&redis).await;
        until("the group is there", || async {
            let mut client = Client::connect(&redis).await;
            client.ask("XINFO GROUPS orders").await == "*1"
        })
        .await;
        client.add(0..5000).await;
        until("some are stored", || async { nats.count().await >= 1000 }).await;
        std::mem::forget(plane);
    });
    first.shutdown_background();
    main.block_on(async {
        let plane = start().await;
        Client::connect(&redis).await.add(5000..10_000).await;
        until("more are stored", || async { nats.count().await >= 6000 }).await;
        redis.down();
        tokio::time::sleep(Duration::from_millis(100)).await;
        redis.up().await;
        until("all are stored", || async { nats.count().await >= 10_000 }).await;
        let stored = nats.identified().await;
        let ids: BTreeSet<&str> = stored.iter().map(|(id, _)| id.as_str()).collect();
        let numbers: BTreeSet<usize> = stored
            .iter()
            .filter_map(|(_, payload)| payload["values"]["n"].as_str()?.parse().ok())
            .collect();
        assert_eq!((stored.len(), ids.len()), (10_000, 10_000));
        assert_eq!(numbers, (0..10_000).collect());
        assert_eq!(stored[0].1["stream"], "orders");
        assert!(
            stored[0].1["message_id"]
                .as_str()
                .is_some_and(|id| id.contains('-'))
        );
        // Everything is acknowledged.
        until("nothing is pending", || async {
            let mut client = Client::connect(&redis).await;
            client.ask("XPENDING orders argo-events-cg").await;
            client.line().await == ":0"
        })
        .await;
        plane.stop().await;
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_is_too_large_is_refused_and_does_not_hold_up_the_others() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(redis) = Server::redis().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let more = json!({"streams": ["orders"], "metadata": {"k": "v"}, "filter": {"expression": "values.n != \"13\""}});
    plane.ensure_source(
        &source("redisStream", &["hush"], &config(&redis, &more)),
        &bus,
    );
    let mut client = Client::connect(&redis).await;
    until("the group is there", || async {
        let mut client = Client::connect(&redis).await;
        client.ask("XINFO GROUPS orders").await == "*1"
    })
    .await;
    let large = "x".repeat(20 << 20);
    let command = format!(
        "*5\r\n$4\r\nXADD\r\n$6\r\norders\r\n$1\r\n*\r\n$1\r\nn\r\n${}\r\n{large}",
        large.len()
    );
    assert!(client.ask(&command).await.starts_with('$'));
    client.line().await;
    client.add(13..15).await;
    until("the good one is stored", || async {
        nats.count().await == 1
    })
    .await;
    let stored = nats.identified().await;
    assert_eq!(stored[0].1["values"], json!({"n": "14"}));
    assert_eq!(stored[0].1["metadata"], json!({"k": "v"}));
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn published_messages_are_text_or_json_and_a_restart_of_the_server_is_survived() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut redis) = Server::redis().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let wait_for_subscriber = async |redis: &Server| {
        until("the source listens", || async {
            let mut client = Client::connect(redis).await;
            client.send("PUBSUB NUMSUB a").await;
            let mut answer = [0; 15];
            client.0.read_exact(&mut answer).await.expect("an answer");
            answer.ends_with(b":1\r\n") || answer.ends_with(b":1\r")
        })
        .await;
    };
    plane.ensure_source(
        &source(
            "redis",
            &["hush"],
            &config(&redis, &json!({"channels": ["a", "b"]})),
        ),
        &bus,
    );
    wait_for_subscriber(&redis).await;
    Client::connect(&redis).await.ask("PUBLISH a hello").await;
    until("one is stored", || async { nats.count().await == 1 }).await;
    assert_eq!(
        nats.identified().await[0].1,
        json!({"channel": "a", "pattern": "", "body": "hello"})
    );
    redis.down();
    redis.up().await;
    wait_for_subscriber(&redis).await;
    let large = "x".repeat(2 << 20);
    let mut client = Client::connect(&redis).await;
    client
        .ask(&format!(
            "*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n${}\r\n{large}",
            large.len()
        ))
        .await;
    client.ask("PUBLISH b again").await;
    until("two are stored", || async { nats.count().await == 2 }).await;
    let json = json!({"channels": ["a"], "jsonBody": true});
    plane.ensure_source(&source("redis", &["hush"], &config(&redis, &json)), &bus);
    until("the other one listens", || async {
        let mut client = Client::connect(&redis).await;
        client.send("PUBLISH a {}").await;
        client.line().await;
        nats.identified()
            .await
            .iter()
            .any(|(_, payload)| payload["body"] == json!({}))
    })
    .await;
    let before = nats.count().await;
    client.ask("PUBLISH a {").await;
    client.ask("PUBLISH a [1]").await;
    until("the good one is stored", || async {
        nats.count().await > before
    })
    .await;
    plane.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_and_an_unreachable_server_are_reported() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(mut redis) = Server::redis().await else {
        return;
    };
    let (bus, plane) = (nats.bus().await, plane());
    let wrong = source(
        "redisStream",
        &["s3cret"],
        &config(&redis, &json!({"streams": ["orders"]})),
    );
    let reported = async |part: &str| {
        until(part, || async {
            let health = plane.ensure_source(&wrong, &bus);
            let reason = health.interrupted.get("event").cloned().unwrap_or_default();
            assert!(!reason.contains("s3cret"), "{reason}");
            reason.contains(part)
        })
        .await;
    };
    reported("WRONGPASS").await;
    redis.down();
    reported("refused").await;
    plane.stop().await;
}
