//! Bytes that no client sends, clients that do not read, and too many of them.

use std::{sync::atomic::Ordering, time::Duration};

use reconcile_core::listen::Budget;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{PASSWORD, Served, serve, serve_within, soon};

async fn open(served: &Served) -> TcpStream {
    let address = ("127.0.0.1", served.port);
    soon("a connection", TcpStream::connect(address))
        .await
        .expect("a connection")
}

/// A connection that has given the password.
async fn trusted(served: &Served) -> TcpStream {
    let mut stream = open(served).await;
    assert_eq!(
        ask(&mut stream, &format!("AUTH {PASSWORD}\r\n")).await,
        "+OK\r\n"
    );
    stream
}

/// Sends bytes and reads one line.
async fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.expect("a write");
    line(stream).await
}

async fn line(stream: &mut TcpStream) -> String {
    let read = async {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            match stream.read_u8().await {
                Ok(byte) => line.push(byte),
                Err(_) => break,
            }
        }
        String::from_utf8_lossy(&line).into_owned()
    };
    soon("an answer", read).await
}

/// Waits until the server has closed the connection.
async fn closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end, too.
    drop(soon("the end of the connection", stream.read_to_end(&mut rest)).await);
}

#[tokio::test]
async fn without_the_password_nothing_is_answered() {
    let served = serve().await;
    let mut stream = open(&served).await;
    for request in [
        "GET app|resources-tree|shop|1.8.3\r\n",
        "SET a b\r\n",
        "SUBSCRIBE a\r\n",
        "PING\r\n",
        "HELLO 3\r\n",
    ] {
        let answer = ask(&mut stream, request).await;
        assert!(answer.starts_with("-NOAUTH"), "{request}: {answer}");
    }
    assert_eq!(served.live.made.load(Ordering::SeqCst), 0);
    for _ in 0..3 {
        let answer = ask(&mut stream, "AUTH guess\r\n").await;
        assert!(answer.starts_with("-WRONGPASS"), "{answer}");
    }
    closed(&mut stream).await;
}

#[tokio::test]
async fn malformed_and_oversized_requests_end_their_connection_only() {
    let served = serve().await;
    let mut good = trusted(&served).await;
    let cases = [
        ("*1\r\n:1\r\n", "expected '$'"),
        ("*-x\r\n", "invalid multibulk length"),
        ("*2000\r\n", "invalid multibulk length"),
        ("*1\r\n$999999999\r\n", "invalid bulk length"),
        ("*1\r\n$4\r\nPINGxx", "expected a line end"),
    ];
    for (request, text) in cases {
        let mut stream = trusted(&served).await;
        let answer = ask(&mut stream, request).await;
        assert!(
            answer.starts_with("-ERR Protocol error") && answer.contains(text),
            "{request}: {answer}"
        );
        closed(&mut stream).await;
    }
    // A foreign client may send even less.
    let mut stream = open(&served).await;
    let answer = ask(&mut stream, "*1\r\n$5000\r\n").await;
    assert!(answer.contains("invalid bulk length"), "{answer}");
    closed(&mut stream).await;
    assert_eq!(ask(&mut good, "PING\r\n").await, "+PONG\r\n");
}

#[tokio::test]
async fn requests_in_progress_share_a_bound_of_memory() {
    let served = serve().await;
    let mut streams = Vec::new();
    let part = vec![b'x'; 3 << 20];
    for _ in 0..16 {
        let mut stream = trusted(&served).await;
        stream
            .write_all(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$4000000\r\n")
            .await
            .expect("a write");
        // The server may close it in the middle.
        drop(stream.write_all(&part).await);
        streams.push(stream);
    }
    let ended = async {
        while served.budget.connections() == 16 {
            tokio::task::yield_now().await;
        }
    };
    soon("the end of those for which there is no room", ended).await;
    assert_eq!(
        ask(&mut trusted(&served).await, "PING\r\n").await,
        "+PONG\r\n"
    );
}

#[tokio::test]
async fn a_subscriber_that_does_not_read_is_closed_and_others_get_their_messages() {
    let served = serve().await;
    let mut slow = trusted(&served).await;
    let names: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
    slow.write_all(format!("SUBSCRIBE {}\r\n", names.join(" ")).as_bytes())
        .await
        .expect("a write");
    let mut publisher = trusted(&served).await;
    let payload = "x".repeat(60_000);
    let flood = async {
        // Until nobody is subscribed any more.
        loop {
            for name in &names {
                let request = format!(
                    "*3\r\n$7\r\nPUBLISH\r\n${}\r\n{name}\r\n${}\r\n{payload}\r\n",
                    name.len(),
                    payload.len()
                );
                let answer = ask(&mut publisher, &request).await;
                if answer == ":0\r\n" && served.budget.connections() < 2 {
                    return;
                }
            }
        }
    };
    soon("the end of the slow client", flood).await;
    assert_eq!(ask(&mut publisher, "PING\r\n").await, "+PONG\r\n");
}

#[tokio::test]
async fn many_subscribers_get_one_message_each() {
    let served = serve().await;
    let mut subscribers = Vec::new();
    for _ in 0..200 {
        let mut stream = trusted(&served).await;
        let answer = ask(&mut stream, "SUBSCRIBE app|managed-resources|shop\r\n").await;
        assert_eq!(answer, "*3\r\n");
        // The rest of the confirmation.
        for _ in 0..5 {
            line(&mut stream).await;
        }
        subscribers.push(stream);
    }
    served.publisher.changed("shop");
    for stream in &mut subscribers {
        assert_eq!(line(stream).await, "*3\r\n");
        line(stream).await;
        assert_eq!(line(stream).await, "message\r\n");
    }
}

#[tokio::test]
async fn clients_with_the_password_do_not_make_room_for_those_without() {
    let served = serve_within(Budget::new(2, 1 << 20)).await;
    let mut first = trusted(&served).await;
    let mut second = trusted(&served).await;
    let mut third = open(&served).await;
    let answer = line(&mut third).await;
    assert!(
        answer.is_empty() || answer.starts_with("-ERR max number of clients"),
        "{answer}"
    );
    for stream in [&mut first, &mut second] {
        assert_eq!(ask(stream, "PING\r\n").await, "+PONG\r\n");
    }
    drop(first);
    let entered = async {
        loop {
            let mut stream = open(&served).await;
            let request = format!("AUTH {PASSWORD}\r\n");
            if stream.write_all(request.as_bytes()).await.is_ok()
                && line(&mut stream).await == "+OK\r\n"
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    soon("room", entered).await;
}
