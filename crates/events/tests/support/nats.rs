//! A real nats-server.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use events::bus::{Auth, Bus, BusConfig, StreamSettings};

use super::{PATIENCE, free_port, until};

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
