//! The frame around controllers: probes, and the end of the process.
#![cfg(feature = "testkit")]

use std::{net::SocketAddr, time::Duration};

use reconcile_core::{
    args::{KubeArgs, LeaderArgs},
    clock::Clock,
    operator::{EndError, Identity, Operator, StartError},
    testkit::FakeApi,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const KUBECONFIG: &str = r#"{"apiVersion": "v1", "kind": "Config", "current-context": "c",
    "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:1"}}],
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "ours"}}],
    "users": [{"name": "u", "user": {}}]}"#;

/// A file that is removed with the test.
struct Kubeconfig(std::path::PathBuf);

impl Kubeconfig {
    fn new(name: &str) -> Self {
        let file = format!("reconcile-core-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(file);
        std::fs::write(&path, KUBECONFIG).expect("a file");
        Self(path)
    }

    fn args(&self, before: &str) -> KubeArgs {
        KubeArgs {
            kubeconfig: Some(format!("{before}{}", self.0.display()).into()),
            context: None,
        }
    }
}

impl Drop for Kubeconfig {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

fn election(enabled: bool, lease_seconds: u64) -> LeaderArgs {
    LeaderArgs {
        enabled,
        namespace: None,
        pod_name: None,
        lease_duration: Duration::from_secs(lease_seconds),
        renew_deadline: Duration::from_secs(10),
        retry_period: Duration::from_secs(2),
    }
}

fn identity(port: u16) -> Identity {
    Identity {
        name: "test",
        lease: "lock".into(),
        address: None,
        ports: vec![port],
    }
}

async fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address").port()
}

async fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("somebody listens");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

#[tokio::test]
async fn the_process_is_ready_when_it_runs_and_all_its_parts_are() {
    let port = free_port().await;
    let config = Kubeconfig::new("ready");
    let operator = Operator::start(identity(port), &config.args(""), &election(false, 15))
        .await
        .expect("a start");
    assert_eq!(operator.namespace, "ours");
    let here = SocketAddr::from(([127, 0, 0, 1], port));
    assert!(ask(here, "/healthz").await.starts_with("HTTP/1.1 200"));
    // No part has been named yet, but that says nothing.
    let answer = ask(here, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let part = operator.readiness.register("widgets");
    let (readiness, stop) = (operator.readiness.clone(), operator.shutdown.clone());
    let running = tokio::spawn(operator.run());
    while readiness.missing() != ["widgets"] {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let answer = ask(here, "/readyz").await;
    assert!(answer.ends_with("waiting for: widgets"), "{answer}");
    part.set();
    assert!(ask(here, "/readyz").await.starts_with("HTTP/1.1 200"));
    readiness.hold("lock", Some("another one acts".to_owned()));
    let answer = ask(here, "/readyz").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("another one acts"), "{answer}");
    readiness.hold("lock", None);
    assert!(ask(here, "/readyz").await.starts_with("HTTP/1.1 200"));
    let index = ask(here, "/").await;
    assert!(index.starts_with("HTTP/1.1 200"), "{index}");
    assert!(index.contains("/readyz"), "{index}");
    let metrics = ask(here, "/metrics").await;
    assert!(metrics.contains("text/plain; version=0.0.4"), "{metrics}");
    assert!(metrics.contains("process_cpu_seconds_total"), "{metrics}");
    let new_family = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
    if TcpListener::bind((std::net::Ipv6Addr::LOCALHOST, 0))
        .await
        .is_ok()
    {
        assert!(
            ask(new_family, "/healthz")
                .await
                .starts_with("HTTP/1.1 200")
        );
    }
    stop.cancel();
    running.await.expect("no panic").expect("a clean stop");
}

#[tokio::test]
async fn a_list_of_kubeconfigs_is_merged_and_may_name_files_that_are_not_there() {
    let config = Kubeconfig::new("list");
    let port = free_port().await;
    let operator = Operator::start(
        identity(port),
        &config.args("/nowhere/config:"),
        &election(false, 15),
    )
    .await
    .expect("a start");
    assert_eq!(operator.namespace, "ours");
}

#[tokio::test]
async fn an_election_that_would_allow_two_leaders_is_refused() {
    let config = Kubeconfig::new("election");
    let port = free_port().await;
    let refused = Operator::start(identity(port), &config.args(""), &election(true, 10)).await;
    assert!(matches!(refused.err(), Some(StartError::Election(_))));
}

#[tokio::test]
async fn a_part_that_panics_or_ends_stops_the_process_with_an_error() {
    for panics in [true, false] {
        let operator = Operator::detached(FakeApi::new().client(), Clock::system());
        operator.spawn("a watch", async move {
            assert!(!panics, "as the test wants");
        });
        let ended = tokio::time::timeout(Duration::from_secs(10), operator.run())
            .await
            .expect("an end");
        let Err(EndError::Broken(part)) = ended else {
            unreachable!("a clean stop: {ended:?}");
        };
        assert_eq!(part, "a watch");
    }
}

#[tokio::test]
async fn a_controller_that_panics_stops_the_process_with_an_error() {
    let operator = Operator::detached(FakeApi::new().client(), Clock::system());
    operator.spawn_drained(async { unreachable!("as the test wants") });
    let ended = tokio::time::timeout(Duration::from_secs(10), operator.run())
        .await
        .expect("an end");
    assert!(ended.is_err());
}
