//! Servers from packages of the system that event sources read.

use std::{
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use super::{free_port, nats, until};

/// A server with a folder and a port of its own; gone when dropped.
pub(crate) struct Server {
    program: PathBuf,
    arguments: Vec<String>,
    folder: tempfile::TempDir,
    child: Option<Child>,
    pub(crate) port: u16,
}

impl Server {
    /// Starts `redis-server` with the password `hush`, which keeps its data over a restart. Where there is none the
    /// test fails or is skipped, as [`super::Nats::start`] describes.
    pub(crate) async fn redis() -> Option<Self> {
        let mut server = Self::new("redis-server")?;
        let folder = server.folder.path().display().to_string();
        let port = server.port.to_string();
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
            child: None,
            port: free_port(),
        })
    }

    /// Starts the server again.
    pub(crate) async fn up(&mut self) {
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
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
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}
