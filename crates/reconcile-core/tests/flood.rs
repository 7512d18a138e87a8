//! What was found by use: connections that never finish their header stopped a process with 1,024 descriptors, and
//! slow bodies held 400 MiB. In a process of its own, because it needs thousands of descriptors.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, body::Bytes, routing::post};
use prometheus::Registry;
use reconcile_core::{
    admin::{AdminServer, Readiness},
    listen::{Budget, Limits, Server, TlsMode, bind, raise_limit, serve},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

const LOCAL: [u8; 4] = [127, 0, 0, 1];
const PATIENCE: Duration = Duration::from_secs(30);
/// As many as stopped the process.
const FLOOD: usize = 1129;
const BODIES: usize = 400;
const MEBIBYTE: usize = 1 << 20;

async fn webhooks(budget: &Budget) -> SocketAddr {
    let listener = bind(Some(LOCAL.into()), 0).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let receive = |body: Bytes| async move { body.len().to_string() };
    let server = Server {
        name: "webhook".into(),
        limits: Limits::default(),
        budget: budget.clone(),
        tls: TlsMode::plain(),
        router: Router::new().route("/hook", post(receive)),
    };
    tokio::spawn(serve(listener, server, CancellationToken::new()));
    address
}

async fn probes() -> SocketAddr {
    let admin = AdminServer::new(Registry::new(), Readiness::default());
    let (address, server) = admin.serve(Some(LOCAL.into()), 0).await.expect("a port");
    tokio::spawn(server);
    address
}

async fn send(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    // The server may have closed it to make room.
    drop(stream.write_all(text.as_bytes()).await);
    stream
}

async fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = send(address, request).await;
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer));
    drop(read.await.expect("an end"));
    answer
}

async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let waited = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, waited).await;
    assert!(waited.is_ok(), "not in time: {what}");
}

async fn both_answer(webhooks: SocketAddr, probes: SocketAddr) {
    let probe = ask(
        probes,
        "GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(probe.starts_with("HTTP/1.1 200"), "{probe}");
    let push = "POST /hook HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    let pushed = ask(webhooks, push).await;
    assert!(pushed.starts_with("HTTP/1.1 200"), "{pushed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_stops_neither_probes_nor_other_clients() {
    let limit = raise_limit();
    assert!(
        limit.is_none_or(|limit| limit >= 4096),
        "raise the hard limit of open files"
    );
    let budget = Budget::for_descriptors(Some(1024));
    let (webhooks, probes) = (webhooks(&budget).await, probes().await);
    let mut unfinished = Vec::new();
    for _ in 0..FLOOD {
        unfinished.push(send(webhooks, "POST /hook HTTP/1.1\r\nhost:").await);
    }
    for _ in 0..200 {
        unfinished.push(send(probes, "GET /readyz HTTP/1.1\r\nhost:").await);
    }
    until("the port is full", || budget.connections() >= 500).await;
    both_answer(webhooks, probes).await;
    drop(unfinished);

    let head = "POST /hook HTTP/1.1\r\nhost: x\r\ncontent-length: 1048577\r\n\r\n";
    let body = format!("{head}{}", "x".repeat(MEBIBYTE));
    let slow = (0..BODIES).map(|_| send(webhooks, &body));
    let slow = futures::future::join_all(slow).await;
    // Until the bodies have come in, a small number means nothing.
    let most = Limits::default().bytes;
    let nearly = most - 2 * MEBIBYTE;
    until("the bodies fill the port", || budget.bytes() >= nearly).await;
    assert!(budget.bytes() <= most, "{budget:?}");
    both_answer(webhooks, probes).await;
    assert!(budget.bytes() <= most, "{budget:?}");
    drop(slow);
    until("the bodies are freed", || budget.bytes() == 0).await;
    both_answer(webhooks, probes).await;
}
