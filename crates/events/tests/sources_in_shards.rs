//! A source that subscribes moves between processes with the shard of its object: no entry is lost, none is stored twice.

mod support;

use std::collections::BTreeSet;

use reconcile_core::testkit::FakeApi;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use support::{
    Nats, Server, until,
    workers::{Worker, api_with_bus, argo, shared_by, write_kubeconfig},
};

/// Entries of the stream in all.
const ENTRIES: usize = 10_000;
/// Entries that are added at once.
const AT_ONCE: usize = 25;
/// Pause between them, so that entries come in while the shard moves.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(20);

/// Adds numbered entries to the stream `orders`.
async fn add(port: u16, numbers: std::ops::Range<usize>) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await;
    let mut stream = BufReader::new(stream.expect("connected"));
    let mut line = String::new();
    stream.write_all(b"AUTH hush\r\n").await.expect("written");
    stream.read_line(&mut line).await.expect("an answer");
    for start in numbers.clone().step_by(AT_ONCE) {
        let end = numbers.end.min(start + AT_ONCE);
        for n in start..end {
            let command = format!("XADD orders * n {n}\r\n");
            stream.write_all(command.as_bytes()).await.expect("written");
        }
        // Length and text of each id.
        for _ in 0..2 * (end - start) {
            stream.read_line(&mut line).await.expect("an answer");
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn is_deployed(api: &FakeApi) -> bool {
    let source = api.get("eventsources", "ns", "src").unwrap_or_default();
    let conditions = source["status"]["conditions"].as_array().cloned();
    let mut conditions = conditions.unwrap_or_default().into_iter();
    conditions.any(|one| one["type"] == "Deployed" && one["status"] == "True")
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_entries_are_stored_once_while_the_shard_of_their_source_moves() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let Some(redis) = Server::redis().await else {
        return;
    };
    let api = api_with_bus(&nats.config().urls[0]);
    api.put(&json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "ns", "name": "redis"},
        "data": {"password": "aHVzaA=="},
    }));
    let stream = json!({
        "hostAddress": format!("127.0.0.1:{}", redis.port()), "streams": ["orders"],
        "password": {"name": "redis", "key": "password"},
    });
    api.put(&argo(
        "EventSource",
        "src",
        &json!({"redisStream": {"event": stream}}),
    ));
    let server = api.listen().await.expect("a port");
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = folder.path().join("kubeconfig");
    write_kubeconfig(&kubeconfig, &server.url);

    let first = Worker::start("controller", &kubeconfig);
    until("one process holds all", || async { shared_by(&api, 1) }).await;
    until("the source runs", || async { is_deployed(&api) }).await;
    let flow = tokio::spawn(add(redis.port(), 0..ENTRIES));
    until("entries come in", || async { nats.count().await > 0 }).await;
    // Whoever holds the shard of the source: of these three moves at least one is of it.
    let second = Worker::start("worker", &kubeconfig);
    until("two share", || async { shared_by(&api, 2) }).await;
    first.signal("-TERM");
    until("the second has all", || async { shared_by(&api, 1) }).await;
    let third = Worker::start("worker", &kubeconfig);
    until("the third has its share", || async { shared_by(&api, 2) }).await;
    second.signal("-KILL");
    until("the third has all", || async { shared_by(&api, 1) }).await;
    flow.await.expect("added");
    let all = u64::try_from(ENTRIES).expect("small");
    until("all are stored", || async { nats.count().await >= all }).await;

    let stored = nats.stored().await;
    let ids: BTreeSet<&str> = stored.iter().map(|event| event.id.as_str()).collect();
    let number = |data: &[u8]| -> Option<usize> {
        let payload: Value = serde_json::from_slice(data).ok()?;
        payload["values"]["n"].as_str()?.parse().ok()
    };
    let numbers: BTreeSet<usize> = stored
        .iter()
        .filter_map(|event| number(&event.data))
        .collect();
    assert_eq!((stored.len(), ids.len()), (ENTRIES, ENTRIES));
    assert_eq!(numbers, (0..ENTRIES).collect());
    drop(third);
}
