//! NATS, Prometheus and the Git server without a cluster; each stopped and started again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use e2e::bed::Control;
use e2e::git::Webhook;
use e2e::{Bed, Options};
use futures::StreamExt as _;
use serde_json::Value;
use tokio::sync::mpsc;

const SOON: Duration = Duration::from_mins(2);

fn services() -> Options {
    Options {
        control: Control::None,
        ..Options::default()
    }
}

/// A receiver of webhooks: its address and what it got.
async fn receiver() -> Result<(String, mpsc::Receiver<(HeaderMap, Bytes)>)> {
    let (sender, received) = mpsc::channel(16);
    let sender = Arc::new(sender);
    let app = Router::new().route(
        "/push",
        post(async move |headers: HeaderMap, body: Bytes| {
            sender.send((headers, body)).await.unwrap();
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/push", listener.local_addr()?);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Ok((url, received))
}

#[tokio::test]
async fn a_push_is_delivered_as_github_delivers_it() -> Result<()> {
    let bed = Bed::up(Options {
        nats: false,
        prometheus: false,
        ..services()
    })
    .await?;
    let git = bed.git()?;
    let (url, mut received) = receiver().await?;
    git.add_webhook(Webhook {
        url,
        secret: Some("s3cret".to_owned()),
    })
    .await;
    let repository = git.repository("team/shop").await?;
    let first = repository
        .commit(&[("app/a.yaml", "a: 1\n")], "first")
        .await?;
    let second = repository
        .commit(&[("app/a.yaml", "a: 2\n"), ("b.txt", "b")], "second")
        .await?;

    let mut next = async || {
        tokio::time::timeout(SOON, received.recv())
            .await?
            .context("the receiver has ended")
    };
    let (_, body) = next().await?;
    assert_eq!(serde_json::from_slice::<Value>(&body)?["after"], first);
    let (headers, body) = next().await?;
    let push: Value = serde_json::from_slice(&body)?;
    assert_eq!(headers["x-github-event"], "push");
    assert!(
        headers["x-hub-signature-256"]
            .to_str()?
            .starts_with("sha256=")
    );
    assert_eq!(push["ref"], "refs/heads/main");
    assert_eq!(push["before"], first);
    assert_eq!(push["after"], second);
    assert_eq!(push["repository"]["clone_url"], repository.url);
    assert_eq!(push["commits"][0]["modified"][0], "app/a.yaml");
    assert_eq!(push["commits"][0]["added"][0], "b.txt");
    assert_eq!(push["commits"][0]["message"], "second");

    // Anybody can clone, and nobody while the server is down.
    let clone = bed.dir().join("clone");
    let run = async |target: &str| {
        let mut command = tokio::process::Command::new("git");
        command
            .args(["clone", "--quiet", "--depth=1", &repository.url])
            .arg(clone.join(target));
        command.status().await
    };
    assert!(run("one").await?.success());
    assert_eq!(
        std::fs::read_to_string(clone.join("one/app/a.yaml"))?,
        "a: 2\n"
    );
    git.stop().await?;
    assert!(!run("two").await?.success());
    git.start().await?;
    assert!(run("three").await?.success());
    Ok(())
}

#[tokio::test]
async fn jetstream_keeps_messages_over_a_restart_and_prometheus_answers() -> Result<()> {
    let bed = Bed::up(Options {
        git: false,
        ..services()
    })
    .await?;
    let nats = bed.nats()?;
    let client = async_nats::connect(&nats.url).await?;
    let jetstream = async_nats::jetstream::new(client);
    let config = async_nats::jetstream::stream::Config {
        name: "orders".to_owned(),
        subjects: vec!["orders.>".to_owned()],
        ..Default::default()
    };
    jetstream.create_stream(config).await?;
    jetstream.publish("orders.new", "one".into()).await?.await?;
    nats.part.kill().await?;
    nats.part.start().await?;
    nats.until_ready().await?;

    let client = async_nats::connect(&nats.url).await?;
    let stream = async_nats::jetstream::new(client)
        .get_stream("orders")
        .await?;
    let config = async_nats::jetstream::consumer::pull::Config::default();
    let mut messages = stream.create_consumer(config).await?.messages().await?;
    let message = tokio::time::timeout(SOON, messages.next())
        .await?
        .context("no message")?;
    assert_eq!(message?.payload, "one");

    let prometheus = bed.prometheus()?;
    prometheus.part.restart().await?;
    prometheus.until_ready().await?;
    let url = format!("{}/api/v1/query?query=vector(42)", prometheus.url);
    let answer: Value = reqwest::get(url).await?.json().await?;
    assert_eq!(answer["data"]["result"][0]["value"][1], "42");
    Ok(())
}
