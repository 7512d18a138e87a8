//! A real nats-server, a data plane beside it, and a receiver of calls.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use axum::{body::Bytes, extract::State, http::HeaderMap, http::StatusCode};
use events::{
    bus::{Auth, Bus, BusConfig, StreamSettings},
    metrics::Metrics,
    sensor::{CheckedSensor, checked::check},
    source::Listeners,
    trigger::{Executor, http::HttpClients, identity::Identities, secrets::Secrets},
    worker::{DataPlane, Parts},
};
use kube::Client;
use parking_lot::Mutex;
use reconcile_core::{
    clock::Clock,
    object::ObjectKey,
    operator::{Operator, install_tls},
    reconcile::Queue,
    testkit::FakeApi,
};
use serde_json::{Value, json};

/// Longer than anything here should take, even on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A nats-server with a folder of its own; gone when dropped.
pub(crate) struct Nats {
    child: Option<Child>,
    folder: tempfile::TempDir,
    port: u16,
}

impl Nats {
    /// Starts a server; `None`, said loudly, where there is no binary.
    pub(crate) async fn start() -> Option<Self> {
        if binary().is_none() {
            // Tests have no log; this is the place where a skip can be seen.
            #[allow(clippy::print_stderr, reason = "a skipped test must say so")]
            {
                eprintln!("SKIPPED: no nats-server (NATS_SERVER, PATH or the bed's cache)");
            }
            return None;
        }
        let mut nats = Self {
            child: None,
            folder: tempfile::tempdir().expect("a folder"),
            port: free_port(),
        };
        nats.up().await;
        Some(nats)
    }

    /// Starts the server again.
    pub(crate) async fn up(&mut self) {
        let binary = binary().expect("looked up before");
        let child = Command::new(binary)
            .args([
                "-a",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "--jetstream",
                "--store_dir",
            ])
            .arg(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server starts");
        self.child = Some(child);
        let port = self.port;
        until("the server listens", || async move {
            tokio::net::TcpStream::connect(("127.0.0.1", port))
                .await
                .is_ok()
        })
        .await;
    }

    /// Kills the server.
    pub(crate) fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Settings to connect with.
    pub(crate) fn config(&self) -> BusConfig {
        BusConfig {
            urls: vec![format!("nats://127.0.0.1:{}", self.port)],
            auth: Auth::None,
            tls: None,
            stream: StreamSettings::default(),
        }
    }

    /// A connection that is ready.
    pub(crate) async fn bus(&self) -> Arc<Bus> {
        let bus = Bus::start("test", self.config(), || {})
            .await
            .expect("settings are good");
        tokio::time::timeout(PATIENCE, bus.ready())
            .await
            .expect("the bus is ready");
        bus
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.down();
    }
}

fn binary() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("NATS_SERVER") {
        return Some(path.into());
    }
    let path = std::env::var_os("PATH")?;
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Some(home) = std::env::var_os("HOME") {
        let cache = PathBuf::from(home).join(".cache/argo-lite-bed");
        for entry in std::fs::read_dir(cache).into_iter().flatten().flatten() {
            folders.push(entry.path());
            folders.push(entry.path().join("bin"));
        }
    }
    folders
        .into_iter()
        .map(|folder| folder.join("nats-server"))
        .find(|file| file.is_file())
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("bound").port()
}

/// Waits until `check` holds.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut check: impl FnMut() -> F) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !check().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "in vain: {what}");
}

/// One call that the receiver got.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) body: Value,
}

/// Receives calls and answers as it is told.
#[derive(Clone)]
pub(crate) struct Receiver {
    pub(crate) calls: Arc<Mutex<Vec<Call>>>,
    pub(crate) answer: Arc<Mutex<u16>>,
    pub(crate) delay: Arc<Mutex<Duration>>,
    pub(crate) url: String,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let receiver = Self {
            calls: Arc::default(),
            answer: Arc::new(Mutex::new(200)),
            delay: Arc::default(),
            url,
        };
        let app = axum::Router::new()
            .fallback(received)
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    pub(crate) fn count(&self) -> usize {
        self.calls.lock().len()
    }

    pub(crate) async fn wait_for(&self, count: usize) {
        until(&format!("{count} calls"), || async {
            self.count() >= count
        })
        .await;
    }
}

async fn received(
    State(receiver): State<Receiver>,
    uri: axum::http::Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let delay = *receiver.delay.lock();
    tokio::time::sleep(delay).await;
    let key = headers
        .get("idempotency-key")
        .and_then(|key| key.to_str().ok())
        .unwrap_or_default();
    receiver.calls.lock().push(Call {
        path: uri.path().to_owned(),
        key: key.to_owned(),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    });
    StatusCode::from_u16(*receiver.answer.lock()).expect("a status")
}

/// A data plane that acts against a cluster in memory.
pub(crate) fn plane() -> DataPlane {
    install_tls();
    let api = FakeApi::new();
    plane_with(api.client())
}

/// A data plane with this client.
pub(crate) fn plane_with(client: Client) -> DataPlane {
    let clock = Clock::system();
    let operator = Operator::detached(client.clone(), clock.clone());
    DataPlane::new(Parts {
        executor: Executor {
            http: HttpClients::default(),
            identities: Identities::new(
                client.clone(),
                operator.config.clone(),
                operator.fence().clone(),
                operator.requests.clone(),
            ),
            secrets: Secrets::new(client),
            fence: operator.fence().clone(),
        },
        listeners: Listeners::new([]),
        metrics: Metrics::register(&operator.registry).expect("a fresh registry"),
        clock,
        events: operator.events.clone(),
        source_queue: Queue::new(),
        sensor_queue: Queue::new(),
    })
}

/// A sensor of the namespace `ns` without problems.
pub(crate) fn sensor(name: &str, spec: &Value) -> Arc<CheckedSensor> {
    let (sensor, problems) = check(&ObjectKey::new("ns", name), "uid-1", spec).expect("decodes");
    assert_eq!(problems, events::sensor::checked::Problems::default());
    Arc::new(sensor)
}

/// A dependency on event `name` of source `src`.
pub(crate) fn dependency(name: &str) -> Value {
    json!({"name": name, "eventSourceName": "src", "eventName": name})
}

/// An http trigger that sends `n` of each event under the name of its dependency.
pub(crate) fn http_trigger(name: &str, url: &str, dependencies: &[&str]) -> Value {
    let payload: Vec<Value> = dependencies
        .iter()
        .map(|name| json!({"src": {"dependencyName": name, "dataKey": "n", "useRawData": true}, "dest": name}))
        .collect();
    json!({"template": {"name": name, "http": {"url": url, "payload": payload}}})
}

/// Waits until all triggers of a sensor get events.
pub(crate) async fn attached(plane: &DataPlane, name: &str) {
    let key = ObjectKey::new("ns", name);
    until("the sensor is attached", || async {
        plane
            .sensor_health(&key)
            .is_some_and(|health| health.detached.is_empty())
    })
    .await;
}

/// Publishes event `name` of source `src` with payload `{"n": n}`.
pub(crate) async fn publish(bus: &Bus, name: &str, n: u64) {
    let now = Clock::system().now();
    let body = format!("{{\"n\":{n}}}");
    let event = events::event::CloudEvent::new(
        format!("{name}-{n}"),
        "src",
        "test",
        name,
        now,
        body.into(),
    );
    bus.publish(
        &events::event::subject("src", name),
        &event.id,
        event.encode(),
    )
    .await
    .expect("stored");
}
