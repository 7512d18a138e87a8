//! Tokens that were revoked, and the port with TLS.

use std::sync::atomic::Ordering;

use jiff::{SignedDuration, Timestamp};
use reconcile_core::{clock::Clock, operator::install_tls};
use redis::{RedisError, aio::MultiplexedConnection};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    Budget, PASSWORD, RevokedToken, Served, protocol::connect, serve, serve_with, serve_within,
    soon,
};
use crate::{
    repo_server::tests::client::connector,
    tls::{Tls, TlsFiles},
};

fn in_an_hour() -> Timestamp {
    Clock::system().now() + SignedDuration::from_hours(1)
}

fn token(id: &str) -> RevokedToken {
    RevokedToken {
        id: id.to_owned(),
        expires: in_an_hour(),
    }
}

async fn revoke(client: &mut MultiplexedConnection, id: &str) -> Result<(), RedisError> {
    let mut set = redis::cmd("SET");
    set.arg(format!("revoked-token|{id}")).arg("");
    set.arg("EX").arg(3600).query_async(client).await
}

async fn revoked(client: &mut MultiplexedConnection) -> Vec<String> {
    let mut scan = redis::cmd("SCAN");
    scan.arg(0).arg("MATCH").arg("revoked-token|*");
    let (_, keys): (String, Vec<String>) = scan.query_async(client).await.expect("scan");
    keys
}

async fn restarted(served: &Served) -> Served {
    let kept = served.keeper.kept.lock().clone();
    serve_with(Budget::new(2000, 1 << 20), Tls::Off, kept).await
}

#[tokio::test]
async fn revoked_tokens_outlive_a_restart() {
    let served = serve().await;
    let mut client = connect(&served, "resp3").await;
    revoke(&mut client, "b").await.expect("revoked");
    revoke(&mut client, "a").await.expect("revoked");
    let next = restarted(&served).await;
    let mut client = connect(&next, "resp2").await;
    let both = ["revoked-token|a", "revoked-token|b"];
    assert_eq!(revoked(&mut client).await, both);
    revoke(&mut client, "c").await.expect("revoked");
    let kept: Vec<String> = next
        .keeper
        .kept
        .lock()
        .iter()
        .map(|one| one.id.clone())
        .collect();
    assert_eq!(kept, ["a", "b", "c"], "the old ones are kept on");

    let ended = RevokedToken {
        expires: Clock::system().now(),
        ..token("ended")
    };
    let last = serve_with(Budget::new(2000, 1 << 20), Tls::Off, vec![ended]).await;
    let mut client = connect(&last, "resp2").await;
    assert!(revoked(&mut client).await.is_empty(), "it ended by itself");
}

#[tokio::test]
async fn a_logout_that_cannot_be_kept_fails_and_counts_all_the_same() {
    let served = serve().await;
    let mut client = connect(&served, "resp3").await;
    served.keeper.fails.store(true, Ordering::SeqCst);
    let error = revoke(&mut client, "a").await.expect_err("an error");
    assert!(error.to_string().contains("cannot keep"), "{error}");
    assert_eq!(revoked(&mut client).await, ["revoked-token|a"]);
    served.keeper.fails.store(false, Ordering::SeqCst);
    revoke(&mut client, "a").await.expect("the second try");
    assert_eq!(served.keeper.kept.lock().len(), 1);
}

#[tokio::test]
async fn values_make_no_room_at_the_cost_of_revoked_tokens() {
    let served = serve_within(Budget::new(2000, 1 << 20)).await;
    let mut client = connect(&served, "resp3").await;
    revoke(&mut client, "a").await.expect("revoked");
    let value = vec![0u8; 1 << 20];
    for number in 0..20 {
        let mut set = redis::cmd("SET");
        set.arg(number).arg(&value[..]);
        set.query_async::<()>(&mut client).await.expect("set");
    }
    let mut first = redis::cmd("EXISTS");
    let first: usize = first.arg(0).query_async(&mut client).await.expect("exists");
    assert_eq!(first, 0, "the values are more than there is room for");
    assert_eq!(revoked(&mut client).await, ["revoked-token|a"]);
}

#[tokio::test]
async fn what_is_no_token_or_one_too_many_is_refused() {
    let many = (0..5000).map(|number| token(&format!("t{number}")));
    let served = serve_with(Budget::new(2000, 1 << 20), Tls::Off, many.collect()).await;
    let mut client = connect(&served, "resp3").await;
    let error = revoke(&mut client, "more").await.expect_err("too many");
    assert!(error.to_string().contains("5000 tokens"), "{error}");
    revoke(&mut client, "t1")
        .await
        .expect("it is there already");

    let served = serve().await;
    let mut client = connect(&served, "resp3").await;
    let mut forever = redis::cmd("SET");
    forever.arg("revoked-token|a").arg("");
    assert!(forever.query_async::<()>(&mut client).await.is_err());
    assert!(revoke(&mut client, "").await.is_err(), "no id");
    assert!(revoke(&mut client, &"x".repeat(257)).await.is_err());
    let mut value = redis::cmd("SET");
    value.arg("other").arg("1");
    value.query_async::<()>(&mut client).await.expect("set");
    let mut rename = redis::cmd("RENAME");
    rename.arg("other").arg("revoked-token|a");
    assert!(rename.query_async::<()>(&mut client).await.is_err());
    assert!(revoked(&mut client).await.is_empty());
}

#[tokio::test]
async fn the_port_speaks_tls() {
    install_tls();
    let files = TlsFiles::default();
    let served = serve_with(Budget::new(2000, 1 << 20), Tls::On(files), Vec::new()).await;
    let connect = async || {
        let stream = TcpStream::connect(("127.0.0.1", served.port)).await;
        stream.expect("a connection")
    };
    let name = "argocd-redis".try_into().expect("a name");
    let stream = connector(&[], None).connect(name, connect().await).await;
    let mut stream = stream.expect("a handshake");
    let request = format!("AUTH {PASSWORD}\r\nPING\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = vec![0; b"+OK\r\n+PONG\r\n".len()];
    soon("an answer", stream.read_exact(&mut answer))
        .await
        .expect("an answer");
    assert_eq!(answer, b"+OK\r\n+PONG\r\n");

    let mut plain = connect().await;
    plain.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // A TLS alert, or nothing.
    drop(soon("the end", plain.read_to_end(&mut answer)).await);
    assert!(!answer.starts_with(b"+OK"), "no plain text is answered");
}
