//! A server that refuses requests and repeats the password: no error of the bus has it.

use std::{fmt::Display, time::Duration};

use reconcile_core::{egress::EgressPolicy, object::ObjectKey};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

use super::{
    Auth, Before, Browser, Bus, BusConfig, BusState, ConsumerOwner, From, STREAM, StreamSettings,
};

const PASSWORD: &str = "hush \"hush\"";
const PATIENCE: Duration = Duration::from_secs(60);
/// A trigger without a consumer; those of others cannot be read.
const NEW: &str = "new";

fn owner<'o>(sensor: &'o ObjectKey, trigger: &'o str) -> ConsumerOwner<'o> {
    ConsumerOwner {
        sensor,
        trigger,
        dependency: "d",
    }
}

fn sensor() -> ObjectKey {
    ObjectKey::new("ns", "saved")
}

/// The stream of events and the bucket of the Sensor are there; everything else is refused.
fn answer(subject: &str, password: &str) -> Value {
    let time = "2026-01-02T03:04:05Z";
    let stream = subject.strip_prefix("$JS.API.STREAM.INFO.");
    if let Some(name) = stream.filter(|name| [STREAM, "KV_saved"].contains(name)) {
        return json!({
            "config": {
                "name": name, "max_msgs_per_subject": 1, "discard": "old", "retention": "limits",
                "storage": "file", "num_replicas": 1,
            },
            "created": time,
            "state": {
                "messages": 0, "bytes": 0, "first_seq": 0, "first_ts": time, "last_seq": 0,
                "last_ts": time, "consumer_count": 0,
            },
        });
    }
    let consumer = subject.strip_prefix("$JS.API.CONSUMER.INFO.default.");
    if consumer.is_some_and(|name| owner(&sensor(), NEW).names().contains(&name.to_owned())) {
        return json!({"error": {"code": 404, "err_code": 10014, "description": "none"}});
    }
    let description = format!("{password} may not use {subject}");
    json!({"error": {"code": 403, "err_code": 10000, "description": description}})
}

/// Answers the requests of one connection with the password that it began with.
async fn serve(connection: TcpStream) -> Option<()> {
    let (read, mut write) = connection.into_split();
    let info =
        json!({"server_id": "x", "version": "2.10.0", "max_payload": 1 << 20, "headers": true});
    let greeting = format!("INFO {info}\r\n");
    write.write_all(greeting.as_bytes()).await.ok()?;
    let mut read = BufReader::new(read);
    let mut password = String::new();
    let mut inboxes: Vec<(String, String)> = Vec::new();
    loop {
        let mut line = String::new();
        if read.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if let Some(settings) = line.strip_prefix("CONNECT ") {
            let settings: Value = serde_json::from_str(settings).ok()?;
            settings["pass"].as_str()?.clone_into(&mut password);
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["PING"] => write.write_all(b"PONG\r\n").await.ok()?,
            ["SUB", subject, id] => {
                let prefix = subject.trim_end_matches('*');
                inboxes.push((prefix.to_owned(), id.to_owned()));
            }
            ["PUB" | "HPUB", subject, reply, .., length] => {
                // The payload and the end of its line.
                let mut payload = vec![0; length.parse::<usize>().ok()? + 2];
                read.read_exact(&mut payload).await.ok()?;
                let inbox = inboxes.iter().find(|inbox| reply.starts_with(&inbox.0));
                let id = &inbox?.1;
                let text = answer(subject, &password).to_string();
                let message = format!("MSG {reply} {id} {}\r\n{text}\r\n", text.len());
                write.write_all(message.as_bytes()).await.ok()?;
            }
            _ => {}
        }
    }
}

async fn server() -> BusConfig {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(serve(connection));
        }
    });
    BusConfig {
        urls: vec![format!("nats://{address}")],
        auth: Auth::Basic {
            username: "ann".to_owned(),
            password: PASSWORD.into(),
        },
        tls: None,
        stream: StreamSettings::default(),
        egress: EgressPolicy::of_flag("--allow-link-local", false),
    }
}

/// The request failed with the words of the server, without the password.
fn hidden<T>(request: &str, outcome: Result<T, impl Display>) {
    let error = outcome.err().map(|error| error.to_string());
    let error = error.unwrap_or_else(|| panic!("{request}: not refused"));
    assert!(error.contains("***** may not use"), "{request}: {error}");
    assert!(!error.contains("hush"), "{request}: {error}");
}

#[tokio::test]
async fn a_bus_hides_a_password_that_the_server_repeats() {
    let bus = Bus::start("test", server().await, || {})
        .await
        .expect("settings are good");
    let mut state = bus.state();
    let refused = |state: &BusState| matches!(state, BusState::Away(why) if why.contains("dlq"));
    let away = tokio::time::timeout(PATIENCE, state.wait_for(refused)).await;
    let away = away.expect("in time").expect("the bus is there").clone();
    let BusState::Away(why) = away else {
        panic!("{away:?}");
    };
    hidden("set up", Err::<(), _>(why));

    let sensor = sensor();
    let (old, new) = (owner(&sensor, "old"), owner(&sensor, NEW));
    let subject = "default.src.a";
    let before = Before::default();
    hidden("attach", bus.attach(&old, subject, before).await);
    hidden("create", bus.attach(&new, subject, before).await);
    hidden("detach", bus.detach(&old).await);
    hidden("message", bus.message(1).await);
    let between = bus.message_between(subject, 1, 2).await;
    hidden("message between", between);

    hidden("bucket", bus.bucket("other").await);
    hidden("sensor bucket", bus.sensor_bucket(&sensor).await);
    hidden("drop", bus.drop_sensor_bucket(&sensor).await);
    let bucket = bus.bucket("saved").await.expect("it is there");
    hidden("read", bucket.read("k").await);
    hidden("create", bucket.write("k", "v".into(), 0).await);
    hidden("update", bucket.write("k", "v".into(), 7).await);
    hidden("erase", bucket.erase("k").await);
    bus.close().await;
}

#[tokio::test]
async fn a_browser_hides_a_password_that_the_server_repeats() {
    let browser = Browser::connect(&server().await).await.expect("connected");
    let sensor = sensor();
    let subject = "default.src.a";
    let headers = async_nats::HeaderMap::new();
    let sent = browser.publish(subject, "1", headers, "x".into()).await;
    hidden("publish", sent);
    let other = browser.read("dlq", "dlq.>", From::Beginning).await;
    hidden("stream", other);
    let read = browser.read(STREAM, subject, From::Beginning).await;
    hidden("read", read);
    hidden("delete", browser.delete(STREAM, 1).await);
    let consumer = browser.consumer(STREAM, &owner(&sensor, "old")).await;
    hidden("consumer", consumer);
    hidden("record", browser.record(&sensor, &["t"]).await);
}
