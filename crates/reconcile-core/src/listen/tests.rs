//! Listeners and clients that mean harm, over real sockets.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, body::Bytes, routing::post};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::*;

mod tls;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
const HALF_A_HEADER: &str = "POST /length HTTP/1.1\r\nhost: x\r\n";

struct Port {
    address: SocketAddr,
    budget: Budget,
    stop: CancellationToken,
    /// Lets the handler of `/held` answer.
    release: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Port {
    async fn open(limits: Limits, budget: Budget) -> Self {
        Self::serve(limits, budget, TlsMode::plain()).await
    }

    async fn serve(limits: Limits, budget: Budget, tls: TlsMode) -> Self {
        let listener = bind(Some([127, 0, 0, 1].into()), 0).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (stop, release) = (CancellationToken::new(), Arc::new(Notify::new()));
        let held = release.clone();
        let router = Router::new()
            .route(
                "/length",
                post(|body: Bytes| async move { body.len().to_string() }),
            )
            .route("/big", post(|| async { "x".repeat(64 << 20) }))
            .route(
                "/held",
                post(move || async move {
                    held.notified().await;
                    "released"
                }),
            );
        let server = Server {
            name: "test".into(),
            limits,
            budget: budget.clone(),
            tls,
            router,
        };
        let task = tokio::spawn(serve(listener, server, stop.clone()));
        Self {
            address,
            budget,
            stop,
            release,
            task,
        }
    }

    async fn connect(&self, sent: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        stream.write_all(sent.as_bytes()).await.expect("sent");
        stream
    }

    async fn ask(&self, path: &str, body: &str) -> String {
        let mut stream = self.connect(&request(path, body.len())).await;
        // The server may have answered and closed before it read all of it.
        drop(stream.write_all(body.as_bytes()).await);
        answer(stream).await
    }

    async fn until(&self, what: &str, reached: impl Fn(&Budget) -> bool) {
        let begin = Instant::now();
        while !reached(&self.budget) {
            assert!(begin.elapsed() < PATIENCE, "not {what}: {:?}", self.budget);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn request(path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    )
}

/// All that the server sends until it closes the connection.
async fn answer(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let read = stream.read_to_end(&mut text);
    // A reset ends the connection too.
    drop(tokio::time::timeout(PATIENCE, read).await.expect("an end"));
    String::from_utf8_lossy(&text).into_owned()
}

fn plenty() -> Budget {
    Budget::new(1000, 64 << 20)
}

#[tokio::test]
async fn a_header_that_does_not_end_closes_the_connection() {
    let limits = Limits {
        header: Duration::from_millis(100),
        ..Limits::default()
    };
    let port = Port::open(limits, plenty()).await;
    for sent in ["", HALF_A_HEADER] {
        assert_eq!(answer(port.connect(sent).await).await, "");
    }
    port.until("closed", |budget| budget.connections() == 0)
        .await;
}

#[tokio::test]
async fn a_connection_that_is_kept_alive_has_time_between_requests_but_not_for_a_header() {
    let limits = Limits {
        header: Duration::from_millis(200),
        ..Limits::default()
    };
    let port = Port::open(limits, plenty()).await;
    let whole = "POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nok";
    let mut stream = port.connect(whole).await;
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.expect("an answer");
    // Longer than a header may take.
    tokio::time::sleep(Duration::from_millis(500)).await;
    stream
        .write_all(whole.as_bytes())
        .await
        .expect("still open");
    stream
        .write_all(HALF_A_HEADER.as_bytes())
        .await
        .expect("sent");
    let rest = answer(stream).await;
    assert_eq!(rest.matches("HTTP/1.1 200").count(), 1, "{rest}");
}

#[tokio::test]
async fn connections_that_wait_for_their_client_make_room_for_others() {
    for (own, all) in [(8, 1000), (1000, 8)] {
        let limits = Limits {
            connections: own,
            ..Limits::default()
        };
        let port = Port::open(limits, Budget::new(all, 1 << 20)).await;
        let mut idle = Vec::new();
        for number in 0..100 {
            idle.push(port.connect(HALF_A_HEADER).await);
            if number % 10 == 0 {
                let answer = port.ask("/length", "body").await;
                assert!(answer.ends_with("\r\n\r\n4"), "{answer}");
            }
            assert!(port.budget.connections() <= 8);
        }
    }
}

#[tokio::test]
async fn a_port_at_the_bound_of_the_process_takes_room_from_the_busiest_port() {
    let budget = Budget::new(8, 1 << 20);
    let attacked = Port::open(Limits::default(), budget.clone()).await;
    let other = Port::open(Limits::default(), budget).await;
    let mut idle = Vec::new();
    for _ in 0..50 {
        idle.push(attacked.connect(HALF_A_HEADER).await);
    }
    for _ in 0..10 {
        let answer = other.ask("/length", "body").await;
        assert!(answer.ends_with("\r\n\r\n4"), "{answer}");
    }
}

#[tokio::test]
async fn a_port_whose_handlers_are_all_at_work_answers_503_and_others_continue() {
    let budget = plenty();
    let limits = Limits {
        connections: 2,
        ..Limits::default()
    };
    let full = Port::open(limits, budget.clone()).await;
    let other = Port::open(limits, budget).await;
    let request = request("/held", 0);
    let held = [full.connect(&request).await, full.connect(&request).await];
    full.until("held", |budget| {
        budget.connections() == 2 && budget.waiting() == 0
    })
    .await;
    let answer_of_full = answer(full.connect("").await).await;
    assert!(
        answer_of_full.starts_with("HTTP/1.1 503"),
        "{answer_of_full}"
    );
    assert!(other.ask("/length", "a").await.starts_with("HTTP/1.1 200"));
    for stream in held {
        full.release.notify_one();
        assert!(answer(stream).await.ends_with("released"));
    }
    assert!(full.ask("/length", "a").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn slow_bodies_make_room_for_others_within_the_bound() {
    const ROOM: usize = 256 << 10;
    for (own, all) in [(ROOM, 64 << 20), (64 << 20, ROOM)] {
        let limits = Limits {
            bytes: own,
            ..Limits::default()
        };
        let port = Port::open(limits, Budget::new(1000, all)).await;
        let part = "x".repeat(64 << 10);
        let mut slow = Vec::new();
        for _ in 0..4 {
            slow.push(port.connect(&(request("/length", 100 << 10) + &part)).await);
        }
        port.until("full", |budget| budget.bytes() == ROOM).await;
        for _ in 0..8 {
            let taken = port.ask("/length", &part).await;
            assert!(taken.ends_with("\r\n\r\n65536"), "{taken}");
            assert!(port.budget.bytes() <= ROOM);
        }
        drop(slow);
        port.until("free", |budget| budget.bytes() == 0).await;
        let never = port.ask("/length", &"x".repeat(ROOM + 1)).await;
        assert!(never.starts_with("HTTP/1.1 413"), "{never}");
    }
}

#[tokio::test]
async fn ports_that_fill_the_budget_together_do_not_stop_another_one() {
    const ROOM: usize = 256 << 10;
    let limits = Limits {
        bytes: ROOM / 2,
        ..Limits::default()
    };
    let budget = Budget::new(1000, ROOM);
    let attacked = [
        Port::open(limits, budget.clone()).await,
        Port::open(limits, budget.clone()).await,
    ];
    let other = Port::open(limits, budget.clone()).await;
    let half = request("/length", 100 << 10) + &"x".repeat(64 << 10);
    let mut slow = Vec::new();
    for port in attacked.iter().cycle().take(4) {
        slow.push(port.connect(&half).await);
    }
    other.until("full", |budget| budget.bytes() == ROOM).await;
    let taken = other.ask("/length", &"x".repeat(100 << 10)).await;
    assert!(taken.ends_with("\r\n\r\n102400"), "{taken}");
    drop(slow);
}

#[tokio::test]
async fn a_body_that_used_more_than_all_others_gives_up_itself() {
    const ROOM: usize = 256 << 10;
    let limits = Limits {
        bytes: ROOM,
        ..Limits::default()
    };
    let port = Port::open(limits, Budget::new(1000, ROOM)).await;
    let mut large = port.connect(&request("/length", ROOM)).await;
    let most = "x".repeat(224 << 10);
    large.write_all(most.as_bytes()).await.expect("sent");
    port.until("held", |budget| budget.bytes() == most.len())
        .await;
    let small = request("/length", 64 << 10) + &"x".repeat(32 << 10);
    let small = port.connect(&small).await;
    port.until("full", |budget| budget.bytes() == ROOM).await;
    large.write_all(&vec![b'x'; 32 << 10]).await.expect("sent");
    let refused = answer(large).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after"), "{refused}");
    port.until("freed", |budget| budget.bytes() == 32 << 10)
        .await;
    drop(small);
}

#[tokio::test]
async fn a_body_that_does_not_end_is_408() {
    let limits = Limits {
        body: Duration::from_millis(100),
        ..Limits::default()
    };
    let port = Port::open(limits, plenty()).await;
    let late = answer(port.connect(&(request("/length", 10) + "half")).await).await;
    assert!(late.starts_with("HTTP/1.1 408"), "{late}");
    port.until("free", |budget| {
        budget.bytes() == 0 && budget.connections() == 0
    })
    .await;
}

#[tokio::test]
async fn a_client_that_does_not_read_its_response_is_disconnected() {
    let limits = Limits {
        stall: Duration::from_millis(100),
        ..Limits::default()
    };
    let port = Port::open(limits, plenty()).await;
    let stream = port.connect(&request("/big", 0)).await;
    port.until("open", |budget| budget.connections() == 1).await;
    port.until("closed", |budget| budget.connections() == 0)
        .await;
    drop(stream);
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_closes_idle_connections() {
    let port = Port::open(Limits::default(), plenty()).await;
    let idle = port.connect("").await;
    let held = port.connect(&request("/held", 0)).await;
    port.until("held", |budget| {
        budget.connections() == 2 && budget.waiting() == 1
    })
    .await;
    port.stop.cancel();
    assert_eq!(answer(idle).await, "");
    port.release.notify_one();
    assert!(answer(held).await.ends_with("released"));
    port.task.await.expect("no panic");
}

#[test]
fn a_process_keeps_descriptors_for_itself() {
    let connections = |limit| Budget::for_descriptors(limit).most_connections();
    assert_eq!(connections(Some(1024)), 512);
    assert_eq!(connections(Some(100)), 50);
    assert_eq!(connections(Some(1 << 20)), 2048);
    assert_eq!(connections(None), 2048);
}

#[tokio::test]
async fn ports_that_listen_leave_the_reserve_alone() {
    let budget = Budget::for_descriptors(Some(100));
    let mut ports = Vec::new();
    for _ in 0..40 {
        ports.push(Port::open(Limits::default(), budget.clone()).await);
    }
    let last = ports.last().expect("a port");
    // A port is counted when its task runs.
    last.until("counted", |budget| budget.most_connections() == 10)
        .await;
    let mut idle = Vec::new();
    for _ in 0..30 {
        idle.push(last.connect(HALF_A_HEADER).await);
    }
    let answer = last.ask("/length", "body").await;
    assert!(answer.ends_with("\r\n\r\n4"), "{answer}");
    assert!(budget.connections() <= 10, "{budget:?}");
    for port in ports {
        port.stop.cancel();
        port.task.await.expect("no panic");
    }
    assert_eq!(budget.most_connections(), 50);
}

#[tokio::test]
async fn replicas_share_a_port_and_the_last_one_serves_alone() {
    let shared = |port| bind_shared(Some([127, 0, 0, 1].into()), port);
    let first = shared(0).expect("a port");
    let address = first.local_addr().expect("an address");
    let second = shared(address.port()).expect("the same port");
    assert!(
        bind(Some(address.ip()), address.port()).await.is_err(),
        "a port that is not shared"
    );
    drop(first);
    let connected = TcpStream::connect(address).await.expect("the other one");
    second.accept().await.expect("a connection");
    drop(connected);
}
