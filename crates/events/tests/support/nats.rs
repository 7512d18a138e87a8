//! A real nats-server.

use std::{path::PathBuf, process::Command, sync::Arc};

use async_nats::jetstream::{
    consumer::{AckPolicy, pull},
    stream::Stream,
};
use events::{
    bus::{Auth, Bus, BusConfig, StreamSettings},
    event::CloudEvent,
};
use futures::StreamExt;
use reconcile_core::{egress::EgressPolicy, testkit::skip_where};

use super::{PATIENCE, free_port, process::Process};

/// A nats-server with a folder of its own; gone when dropped.
pub(crate) struct Nats {
    process: Process,
    folder: tempfile::TempDir,
}

impl Nats {
    /// Starts a server. Without a binary the test fails, or with `ALLOW_SKIPS=1` it is counted in
    /// the file `SKIPPED_TESTS` and there is no server.
    pub(crate) async fn start() -> Option<Self> {
        Self::binary_or_skip()?;
        let mut nats = Self {
            process: Process::new(free_port()),
            folder: tempfile::tempdir().expect("a folder"),
        };
        std::fs::write(nats.file("nats.conf"), "").expect("written");
        nats.up().await;
        Some(nats)
    }

    /// The program; without one as [`Nats::start`].
    pub(crate) fn binary_or_skip() -> Option<PathBuf> {
        let found = binary();
        if found.is_none() {
            skip("no nats-server: run `target/debug/bed build`, or set NATS_SERVER to its path");
        }
        found
    }

    /// Starts a server with more settings, which may name [`Nats::file`]s of these contents.
    pub(crate) async fn start_with(
        files: &[(&str, &str)],
        settings: impl FnOnce(&Self) -> String,
    ) -> Option<Self> {
        let mut nats = Self::start().await?;
        nats.down();
        for (name, text) in files {
            std::fs::write(nats.file(name), text).expect("written");
        }
        std::fs::write(nats.file("nats.conf"), settings(&nats)).expect("written");
        nats.up().await;
        Some(nats)
    }

    /// Path of a file in the server's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts the server again.
    pub(crate) async fn up(&mut self) {
        let binary = binary().expect("looked up before");
        let mut command = Command::new(binary);
        command
            .args(["-a", "127.0.0.1", "-p", &self.process.port.to_string()])
            .args(["--jetstream", "--store_dir"])
            .arg(self.folder.path())
            .arg("-c")
            .arg(self.file("nats.conf"));
        self.process.up(&mut command).await;
    }

    /// Kills the server.
    pub(crate) fn down(&mut self) {
        self.process.down();
    }

    /// Kills the server and deletes what it stored.
    pub(crate) fn lose_everything(&mut self) {
        self.down();
        drop(std::fs::remove_dir_all(self.file("jetstream")));
    }

    /// Settings to connect with.
    pub(crate) fn config(&self) -> BusConfig {
        BusConfig {
            urls: vec![format!("nats://127.0.0.1:{}", self.process.port)],
            auth: Auth::None,
            tls: None,
            stream: StreamSettings::default(),
            egress: EgressPolicy::of_flag("--allow-link-local", false),
        }
    }

    /// The stream of events, and its state.
    pub(crate) async fn stream(&self) -> Stream {
        let client = async_nats::connect(self.config().urls[0].as_str())
            .await
            .expect("connected");
        let context = async_nats::jetstream::new(client);
        context.get_stream("default").await.expect("a stream")
    }

    /// Number of events in the stream.
    pub(crate) async fn count(&self) -> u64 {
        self.stream().await.cached_info().state.messages
    }

    /// The data of all events in the stream.
    pub(crate) async fn payloads(&self) -> Vec<serde_json::Value> {
        let stored = self.stored().await.into_iter();
        stored
            .map(|event| serde_json::from_slice(&event.data).expect("JSON"))
            .collect()
    }

    /// The ids of all events in the stream, with their data.
    pub(crate) async fn identified(&self) -> Vec<(String, serde_json::Value)> {
        let events = self.stored().await.into_iter().map(|event| {
            let payload = serde_json::from_slice(&event.data).expect("JSON");
            (event.id, payload)
        });
        events.collect()
    }

    /// All events in the stream.
    pub(crate) async fn stored(&self) -> Vec<CloudEvent> {
        let stream = self.stream().await;
        let count = usize::try_from(stream.cached_info().state.messages).expect("a count");
        let consumer = stream
            .create_consumer(pull::Config {
                ack_policy: AckPolicy::None,
                ..Default::default()
            })
            .await
            .expect("a consumer");
        let messages = consumer.messages().await.expect("messages");
        let events = messages
            .take(count)
            .map(|message| CloudEvent::decode(&message.expect("good").payload).expect("an event"));
        tokio::time::timeout(PATIENCE, events.collect())
            .await
            .expect("in time")
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

/// Fails the test, unless skips are allowed: a test that did nothing must not pass unseen.
fn skip(reason: &str) {
    skip_where(&["ALLOW_SKIPS"], reason);
}

/// As [`skip`], for a server of the system, which `SKIP_SERVERS=1` does without too.
pub(super) fn skip_server(reason: &str) {
    skip_where(&["ALLOW_SKIPS", "SKIP_SERVERS"], reason);
}

/// The numbers of numbered events, in the order of the stream.
pub(crate) fn numbers(stored: &[(String, serde_json::Value)]) -> Vec<u64> {
    let numbers = stored
        .iter()
        .filter_map(|(_, payload)| payload["body"]["n"].as_u64());
    numbers.collect()
}

/// The numbers of numbered events in their own order.
pub(crate) fn sorted_numbers(stored: &[(String, serde_json::Value)]) -> Vec<u64> {
    let mut numbers = numbers(stored);
    numbers.sort_unstable();
    numbers
}
