//! The process of a server.

use std::{
    io::Write as _,
    net::TcpStream,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{PATIENCE, until};

/// Runs a program to its end with this input; returns the JSON lines that it prints.
pub(super) async fn lines_of(mut command: Command, input: String) -> Vec<Value> {
    let what = format!("{command:?}");
    let ran = tokio::task::spawn_blocking(move || {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the client starts");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input.as_bytes()).expect("written");
        drop(stdin);
        child.wait_with_output().expect("an end")
    });
    let output = tokio::time::timeout(2 * PATIENCE, ran).await;
    let output = output.expect("in time").expect("no panic");
    assert!(output.status.success(), "the client {what} fails");
    let printed = String::from_utf8(output.stdout).expect("text");
    let printed = printed
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    printed.collect()
}

/// A process that listens on a port; killed when dropped.
pub(crate) struct Process {
    child: Option<Child>,
    pub(super) port: u16,
}

impl Process {
    /// One that does not run yet.
    pub(crate) fn new(port: u16) -> Self {
        Self { child: None, port }
    }

    /// Starts the server and waits until it listens.
    pub(crate) async fn up(&mut self, command: &mut Command) {
        let child = command
            // What a script starts ends with it.
            .process_group(0)
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

    /// Its id; it runs.
    pub(super) fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Asks the server to stop, and waits until it has.
    pub(super) async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let asked = Command::new("kill").arg(child.id().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()), "no signal");
        let ended = tokio::task::spawn_blocking(move || child.wait());
        let ended = tokio::time::timeout(super::PATIENCE, ended).await;
        assert!(ended.is_ok(), "the server does not stop");
    }

    /// Kills the server.
    pub(super) fn down(&mut self) {
        if let Some(mut child) = self.child.take() {
            let group = format!("-{}", child.id());
            let killed = Command::new("kill").args(["-KILL", "--", &group]).status();
            assert!(killed.is_ok(), "no signal");
            drop(child.wait());
            // What a script started may end a little later.
            let end = Instant::now() + super::PATIENCE;
            while TcpStream::connect(("127.0.0.1", self.port)).is_ok() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.down();
    }
}
