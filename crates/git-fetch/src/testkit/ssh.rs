//! The sshd of OpenSSH, for one user and one key.

use std::{
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use reconcile_core::testkit::skip_where;

/// A server that lets one key in.
pub struct SshServer {
    folder: tempfile::TempDir,
    /// Its port of this machine.
    pub port: u16,
    user: String,
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Where sshd is, which wants to be named by its whole path.
fn sshd() -> Option<PathBuf> {
    ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
}

impl SshServer {
    /// Starts one; `None` when the machine lacks a program.
    pub fn start() -> Option<Self> {
        let Some((program, user)) = sshd().zip(run("id", &["-un"])) else {
            skip_where(Self::SKIPS, "no sshd: run `make servers`");
            return None;
        };
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        for name in ["host", "client", "stranger"] {
            let made = run(
                "ssh-keygen",
                &["-q", "-t", "ed25519", "-N", "", "-f", &path(name)],
            );
            if made.is_none() {
                skip_where(Self::SKIPS, "no ssh-keygen: run `make servers`");
                return None;
            }
        }
        let config = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nAcceptEnv GIT_PROTOCOL\nPermitRootLogin prohibit-password\n",
            path("host"),
            path("client.pub"),
        );
        std::fs::write(path("config"), config).expect("a file");
        // Where the process drops its rights, when it has any.
        drop(std::fs::create_dir_all("/run/sshd"));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let config = path("config");
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                serve(&program, &config, stream);
            }
        });
        Some(Self { folder, port, user })
    }

    /// The content of `client`, `stranger`, `host` or, with the ending `.pub`, of its public part.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("a key")
    }

    /// What allows tests to do without the programs of SSH.
    pub const SKIPS: &[&str] = &["ALLOW_SKIPS", "SKIP_SERVERS"];

    /// A URL of this repository of the machine.
    pub fn url(&self, path: &Path) -> String {
        format!(
            "ssh://{}@127.0.0.1:{}{}",
            self.user,
            self.port,
            path.display()
        )
    }
}

fn serve(program: &Path, config: &str, stream: TcpStream) {
    let output = stream.try_clone().expect("a descriptor");
    let mut child = Command::new(program)
        .args(["-i", "-e", "-f", config])
        .stdin(Stdio::from(OwnedFd::from(stream)))
        .stdout(Stdio::from(OwnedFd::from(output)))
        .stderr(Stdio::null())
        .spawn()
        .expect("sshd runs");
    std::thread::spawn(move || child.wait());
}
