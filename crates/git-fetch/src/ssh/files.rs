//! What one `ssh` process gets: its files and its options.

use std::{
    fs, io,
    net::IpAddr,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    process::{Command, Stdio},
};

use secrecy::ExposeSecret;

use super::SshUrl;
use crate::{FetchError, Login};

/// The key and the known hosts, readable for this process only.
pub(super) struct PrivateFiles(tempfile::TempDir);

impl PrivateFiles {
    pub(super) fn write(parent: &Path, login: Option<&Login>) -> Result<Self, FetchError> {
        let failed = |error: io::Error| FetchError::Store(format!("files for ssh: {error}"));
        fs::create_dir_all(parent).map_err(failed)?;
        let folder = tempfile::Builder::new().prefix("ssh-").tempdir_in(parent);
        let files = Self(folder.map_err(failed)?);
        let hosts = login.and_then(|one| one.known_hosts.as_deref());
        files
            .put("known_hosts", hosts.unwrap_or_default())
            .map_err(failed)?;
        if let Some(key) = login.and_then(|one| one.ssh_key.as_ref()) {
            // OpenSSH does not read a key without an end of line.
            let key = format!("{}\n", key.expose_secret().trim());
            files.put("key", &key).map_err(failed)?;
        }
        Ok(files)
    }

    fn put(&self, name: &str, text: &str) -> io::Result<()> {
        let path = self.0.path().join(name);
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        io::Write::write_all(&mut file, text.as_bytes())
    }

    /// The program that talks to the server at `address`.
    pub(super) fn command(&self, url: &SshUrl, address: IpAddr, login: Option<&Login>) -> Command {
        let path = |name: &str| self.0.path().join(name).display().to_string();
        let mut options: Vec<String> = [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "IdentityAgent=none",
            "PreferredAuthentications=publickey",
            "GlobalKnownHostsFile=/dev/null",
            "UpdateHostKeys=no",
            "CheckHostIP=no",
            "ProxyCommand=none",
            "ControlPath=none",
            "ClearAllForwardings=yes",
            "ForwardAgent=no",
            "ForwardX11=no",
            "PermitLocalCommand=no",
            "ConnectTimeout=10",
            "ServerAliveInterval=10",
            "ServerAliveCountMax=3",
            "LogLevel=ERROR",
            "SendEnv=GIT_PROTOCOL",
        ]
        .map(str::to_owned)
        .into();
        options.push(format!("HostName={address}"));
        // Known hosts name what the URL names.
        options.push(format!("HostKeyAlias={}", url.known_as()));
        let key = login.is_some_and(|one| one.ssh_key.is_some());
        let identity = if key { path("key") } else { "none".to_owned() };
        options.push(format!("IdentityFile={identity}"));
        if login.is_some_and(|one| one.insecure) {
            options.push("StrictHostKeyChecking=no".to_owned());
            options.push("UserKnownHostsFile=/dev/null".to_owned());
        } else {
            options.push("StrictHostKeyChecking=yes".to_owned());
            options.push(format!("UserKnownHostsFile={}", path("known_hosts")));
        }
        let mut command = Command::new("ssh");
        command.args(["-T", "-F", "/dev/null"]);
        for option in options {
            command.arg("-o").arg(option);
        }
        command
            .args(["-p", &url.port.to_string(), "-l", url.user(), "--"])
            .arg(&url.host)
            .arg(format!("git-upload-pack {}", url.quoted_path()))
            .env_clear()
            .env("HOME", self.0.path())
            .env("LC_ALL", "C")
            // The client of the system, whatever the environment of this process names first.
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("GIT_PROTOCOL", "version=2")
            .current_dir(self.0.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}
