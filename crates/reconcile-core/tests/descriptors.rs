//! A listener in a process that runs out of descriptors. In a process of its own, because it takes all of them.

use std::{fs::File, time::Duration};

use axum::{Router, routing::get};
use reconcile_core::listen::{Budget, Limits, Server, TlsMode, bind, raise_limit, serve};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

#[tokio::test]
async fn a_listener_accepts_again_when_descriptors_are_free_again() {
    let hard = getrlimit(Resource::Nofile).maximum;
    let soft = |current| Rlimit {
        current: Some(current),
        maximum: hard,
    };
    setrlimit(Resource::Nofile, soft(64)).expect("a lower limit");
    assert_eq!(raise_limit(), hard);
    assert_eq!(getrlimit(Resource::Nofile).current, hard);
    setrlimit(Resource::Nofile, soft(64)).expect("a lower limit");

    let listener = bind(Some([127, 0, 0, 1].into()), 0).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let server = Server {
        name: "test".into(),
        limits: Limits::default(),
        budget: Budget::new(10, 1000),
        tls: TlsMode::plain(),
        router: Router::new().route("/", get(|| async { "ok" })),
    };
    tokio::spawn(serve(listener, server, CancellationToken::new()));
    let mut files: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    assert!(!files.is_empty());
    // The client takes the last descriptor; accepting needs one more.
    drop(files.pop());
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let request = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    let pause = Duration::from_millis(300);
    let read = tokio::time::timeout(pause, stream.read_to_string(&mut answer)).await;
    assert!(read.is_err(), "accepted without a descriptor: {answer}");
    files.clear();
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut answer));
    read.await.expect("an answer").expect("readable");
    assert!(answer.ends_with("ok"), "{answer}");
}
