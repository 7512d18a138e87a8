//! A real nats-server.

use std::{
    io::Write as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use events::bus::{Auth, Bus, BusConfig, StreamSettings};
use reconcile_core::egress::EgressPolicy;

use super::{PATIENCE, free_port, until};

/// A nats-server with a folder of its own; gone when dropped.
pub(crate) struct Nats {
    child: Option<Child>,
    folder: tempfile::TempDir,
    port: u16,
}

impl Nats {
    /// Starts a server. Without a binary the test fails, or with `ALLOW_SKIPS=1` it is counted in
    /// the file `SKIPPED_TESTS` and there is no server.
    pub(crate) async fn start() -> Option<Self> {
        if binary().is_none() {
            skip("no nats-server: run `target/debug/bed build`, or set NATS_SERVER to its path");
            return None;
        }
        let mut nats = Self {
            child: None,
            folder: tempfile::tempdir().expect("a folder"),
            port: free_port(),
        };
        std::fs::write(nats.file("nats.conf"), "").expect("written");
        nats.up().await;
        Some(nats)
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
            .arg("-c")
            .arg(self.file("nats.conf"))
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

    /// Kills the server and deletes what it stored.
    pub(crate) fn lose_everything(&mut self) {
        self.down();
        drop(std::fs::remove_dir_all(self.file("jetstream")));
    }

    /// Settings to connect with.
    pub(crate) fn config(&self) -> BusConfig {
        BusConfig {
            urls: vec![format!("nats://127.0.0.1:{}", self.port)],
            auth: Auth::None,
            tls: None,
            stream: StreamSettings::default(),
            egress: EgressPolicy::of_flag("--allow-link-local", false),
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

/// Fails the test, unless skips are allowed: a test that did nothing must not pass unseen.
fn skip(reason: &str) {
    skip_where(&["ALLOW_SKIPS"], reason);
}

/// As [`skip`], for a server of the system, which `SKIP_SERVERS=1` does without too.
pub(super) fn skip_server(reason: &str) {
    skip_where(&["ALLOW_SKIPS", "SKIP_SERVERS"], reason);
}

fn skip_where(variables: &[&str], reason: &str) {
    let allowed = variables
        .iter()
        .any(|name| std::env::var_os(name).is_some_and(|text| text == "1"));
    assert!(
        allowed,
        "{reason} ({}=1 skips this test)",
        variables.join("=1 or ")
    );
    if let Some(file) = std::env::var_os("SKIPPED_TESTS") {
        let name = std::thread::current().name().unwrap_or("?").to_owned();
        std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .and_then(|mut file| writeln!(file, "{name}: {reason}"))
            .expect("the skipped test is counted");
    }
}
