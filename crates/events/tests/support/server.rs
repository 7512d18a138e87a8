//! Servers from packages of the system that event sources read.

use std::{path::PathBuf, process::Command};

use super::{free_port, nats, process::Process};

/// A server with a folder and a port of its own; gone when dropped.
pub(crate) struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
    process: Process,
}

impl Server {
    /// Starts `redis-server` with the password `hush`, which keeps its data over a restart. Where there is none the
    /// test fails or is skipped, as [`super::Nats::start`] describes.
    pub(crate) async fn redis() -> Option<Self> {
        let mut server = Self::new("redis-server")?;
        let folder = server.folder.path().display().to_string();
        let port = server.port().to_string();
        let arguments = [
            "--bind",
            "127.0.0.1",
            "--port",
            &port,
            "--dir",
            &folder,
            "--save",
            "",
            "--appendonly",
            "yes",
            "--requirepass",
            "hush",
        ];
        server.arguments = arguments.map(str::to_owned).to_vec();
        server.up().await;
        Some(server)
    }

    fn new(program: &str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        // Debian's place for servers is not in everybody's path.
        folders.push("/usr/sbin".into());
        let found = folders
            .into_iter()
            .map(|folder| folder.join(program))
            .find(|file| file.is_file());
        let Some(program) = found else {
            nats::skip_server(&format!("no {program}: run `make servers`"));
            return None;
        };
        Some(Self {
            program,
            arguments: Vec::new(),
            folder: tempfile::tempdir().expect("a folder"),
            process: Process::new(free_port()),
        })
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.process.port
    }

    /// Starts the server again.
    pub(crate) async fn up(&mut self) {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(self.folder.path());
        self.process.up(&mut command).await;
    }

    /// Kills the server.
    pub(crate) fn down(&mut self) {
        self.process.down();
    }
}
