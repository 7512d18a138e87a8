//! What the command line of every operator's binary must do.

use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// Longest wait for a process to open its ports.
const PATIENCE: Duration = Duration::from_secs(60);

/// Checks the built `binary`: `controller --help` lists `flags` in the spelling that users know, and a kubeconfig that
/// is not there is named and ends the process.
///
/// # Panics
/// When the binary does something else.
pub fn check_command_line(binary: &str, flags: &[&str]) {
    let help = run(binary, &["--help"]);
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(help.status.success(), "{text}");
    for flag in flags {
        let listed = text
            .split([' ', ',', '=', '[', '\n'])
            .any(|word| word == *flag);
        assert!(listed, "{flag} is missing:\n{text}");
    }
    let lost = "/nowhere/config";
    let refused = run(binary, &["--kubeconfig", lost, "--leader-elect=false"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{text}");
    assert!(text.contains(lost), "{text}");
    let mixed_up = run(
        binary,
        &["--leader-election-lease-duration=5s", "--kubeconfig", lost],
    );
    let text = String::from_utf8_lossy(&mixed_up.stderr);
    assert!(!mixed_up.status.success(), "{text}");
    assert!(text.contains("renew deadline"), "{text}");
}

/// Checks that the built `binary` serves metrics and probes at `--metrics-address` only. `ports` are its flags of these
/// ports. It needs no cluster: the ports are open before the first request to the API server.
///
/// # Panics
/// When a port is not open there, or is open at another address.
pub fn check_metrics_address(binary: &str, ports: &[&str]) {
    let folder = std::env::temp_dir();
    let kubeconfig = folder.join(format!("kubeconfig-{}", uuid::Uuid::new_v4()));
    std::fs::write(&kubeconfig, NO_CLUSTER).expect("a kubeconfig");
    let child = Command::new(binary)
        .args([
            "controller",
            "--leader-elect=false",
            "--metrics-address=127.0.0.1",
        ])
        .arg("--kubeconfig")
        .arg(&kubeconfig)
        .args(ports.iter().map(|flag| format!("{flag}=0")))
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut child = Running(child);
    let lines = child.lines();
    let deadline = Instant::now() + PATIENCE;
    let mut log = String::new();
    for flag in ports {
        let bound = loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left);
            assert!(line.is_ok(), "{flag} is not open:\n{log}");
            let line = line.unwrap_or_default();
            log.push_str(&line);
            if let Some(bound) = bound_address(&line) {
                break bound;
            }
        };
        assert_eq!(bound.ip().to_string(), "127.0.0.1", "{flag}: {log}");
        TcpStream::connect(bound).expect("the port is open");
        let other = SocketAddr::from(([127, 0, 0, 2], bound.port()));
        assert!(
            TcpStream::connect(other).is_err(),
            "{flag} is open at {other} too"
        );
    }
    drop(child);
    drop(std::fs::remove_file(kubeconfig));
}

/// The address in the line that says that metrics and probes are served.
fn bound_address(line: &str) -> Option<SocketAddr> {
    if !line.contains("serving /metrics") {
        return None;
    }
    let mut words = line.split(|c: char| !(c.is_ascii_hexdigit() || ".:[]".contains(c)));
    words.find_map(|word| word.parse().ok())
}

/// A cluster that nobody serves.
const NO_CLUSTER: &str = "\
apiVersion: v1
kind: Config
clusters: [{name: none, cluster: {server: 'http://127.0.0.1:1'}}]
users: [{name: none, user: {}}]
contexts: [{name: none, context: {cluster: none, user: none}}]
current-context: none
";

/// A process that ends with the test.
struct Running(Child);

impl Running {
    /// All that it prints, line by line.
    fn lines(&mut self) -> mpsc::Receiver<String> {
        let (sender, lines) = mpsc::channel();
        let out: Option<Box<dyn Read + Send>> =
            self.0.stdout.take().map(|pipe| Box::new(pipe) as _);
        let err: Option<Box<dyn Read + Send>> =
            self.0.stderr.take().map(|pipe| Box::new(pipe) as _);
        for pipe in [out, err].into_iter().flatten() {
            let sender = sender.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    drop(sender.send(line + "\n"));
                }
            });
        }
        lines
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn run(binary: &str, arguments: &[&str]) -> Output {
    Command::new(binary)
        .arg("controller")
        .args(arguments)
        // Neither the flags nor the cluster of whoever runs the tests.
        .env_clear()
        .output()
        .expect("the binary starts")
}
