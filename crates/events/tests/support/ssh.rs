//! Servers of SFTP: the sshd of OpenSSH, which lets keys in, and another one, which lets a password in.

use std::{fs, path::PathBuf, process::Command};

use super::{nats, server::Server};

/// A server with its keys and the directory that it shows.
pub(crate) struct Sftp {
    pub(crate) server: Server,
}

impl Sftp {
    /// Starts OpenSSH's. Without its programs the test fails or is skipped, as [`super::Nats::start`] describes.
    pub(crate) async fn openssh() -> Option<Self> {
        let server = Server::new("sshd")?;
        let this = Self { server };
        this.make_keys()?;
        let path = |name: &str| this.path(name).display().to_string();
        let config = format!(
            "Port {}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nMaxStartups 100\nSubsystem sftp internal-sftp\n",
            this.server.port(),
            path("host"),
            path("authorized"),
        );
        fs::write(this.path("config"), config).expect("written");
        let arguments = ["-D", "-e", "-f", &path("config")]
            .map(str::to_owned)
            .to_vec();
        // Where it drops its rights, when it has any.
        drop(fs::create_dir_all("/run/sshd"));
        this.started(arguments).await
    }

    /// Starts one that lets `worker` in with this password, and shows the directory as `/`.
    pub(crate) async fn with_password(password: &str) -> Option<Self> {
        let server = Server::new("asyncssh/bin/python")?;
        let this = Self { server };
        this.make_keys()?;
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sftp_server.py");
        let (port, shown) = (this.server.port().to_string(), this.path("shown"));
        let (shown, key) = (shown.display().to_string(), this.path("host"));
        let key = key.display().to_string();
        let arguments = [script, &port, &shown, &key, password].map(str::to_owned);
        this.started(arguments.to_vec()).await
    }

    async fn started(mut self, arguments: Vec<String>) -> Option<Self> {
        fs::create_dir(self.path("shown")).expect("a folder");
        self.server.run_with(arguments);
        self.server.up().await;
        Some(self)
    }

    fn make_keys(&self) -> Option<()> {
        let kinds: [(&str, &[&str]); 6] = [
            ("host", &["-t", "ed25519"]),
            ("other", &["-t", "ed25519"]),
            ("ed25519", &["-t", "ed25519"]),
            ("ecdsa", &["-t", "ecdsa"]),
            ("rsa", &["-t", "rsa", "-b", "2048"]),
            ("pem", &["-t", "rsa", "-b", "2048", "-m", "PEM"]),
        ];
        let mut authorized = String::new();
        for (name, kind) in kinds {
            let file = self.path(name).display().to_string();
            let made = Command::new("ssh-keygen")
                .args(["-q", "-N", "", "-f", &file])
                .args(kind)
                .status();
            if !made.is_ok_and(|status| status.success()) {
                nats::skip_server("no ssh-keygen: run `make servers`");
                return None;
            }
            if !matches!(name, "host" | "other") {
                authorized.push_str(&self.text(&format!("{name}.pub")));
            }
        }
        fs::write(self.path("authorized"), authorized).expect("written");
        Some(())
    }

    /// Path of a file of the server.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.server.file(name)
    }

    /// A key.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a key")
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }

    /// The directory that the source watches.
    pub(crate) fn directory(&self) -> String {
        self.path("shown").display().to_string()
    }

    /// Writes a file into it, whole.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let (hidden, file) = (self.path("part"), self.path("shown").join(name));
        fs::write(&hidden, text).expect("written");
        fs::rename(hidden, file).expect("there");
    }

    /// Stops the server, and what serves its connections.
    pub(crate) async fn stop(&mut self) {
        let id = self.server.id().to_string();
        let ended = Command::new("pkill").args(["-KILL", "-P", &id]).status();
        assert!(ended.is_ok(), "no signal");
        self.server.stop().await;
    }

    /// The user that the tests run as.
    pub(crate) fn user() -> String {
        let user = Command::new("id").arg("-un").output().expect("a user");
        String::from_utf8_lossy(&user.stdout).trim().to_owned()
    }
}
