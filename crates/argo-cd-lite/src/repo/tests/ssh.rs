//! Git over ssh, with the sshd of OpenSSH.

use std::{
    net::{TcpListener, TcpStream},
    os::fd::OwnedFd,
    path::PathBuf,
    process::Stdio,
    time::Instant,
};

use reconcile_core::testkit::skip_where;

use super::*;

/// A server that lets one key in.
struct SshServer {
    folder: tempfile::TempDir,
    port: u16,
    user: String,
}

fn run(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What allows the tests to do without the programs of SSH.
const SKIPS: &[&str] = &["ALLOW_SKIPS", "SKIP_SERVERS"];

/// Where sshd is, which wants to be named by its whole path.
fn sshd() -> Option<PathBuf> {
    ["/usr/sbin/sshd", "/usr/bin/sshd", "/usr/local/sbin/sshd"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
}

impl SshServer {
    /// Starts one; `None` when the machine lacks a program.
    fn start() -> Option<Self> {
        let Some((program, user)) = sshd().zip(run("id", &["-un"])) else {
            skip_where(SKIPS, "no sshd: run `make servers`");
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
                skip_where(SKIPS, "no ssh-keygen: run `make servers`");
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

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).expect("a key")
    }

    /// A URL of this repository of the machine.
    fn url(&self, path: &Path) -> String {
        format!(
            "ssh://{}@127.0.0.1:{}{}",
            self.user,
            self.port,
            path.display()
        )
    }

    /// A credential with this key, which knows the server by that one.
    fn credential(&self, key: &str, host: &str) -> Credential {
        let known = format!("[127.0.0.1]:{} {}", self.port, self.text(host));
        Credential {
            ssh_key: Some(self.text(key).into()),
            known_hosts: Some(known.into()),
            ..Credential::default()
        }
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

fn store(folder: &tempfile::TempDir, url: &str, egress: EgressPolicy) -> Store {
    let path = folder.path().join("store.git");
    Store::open(&path, url, GitLimits::default(), egress).expect("a store")
}

const ANY: EgressPolicy = EgressPolicy::AllowLinkLocal;

#[test]
fn a_repository_is_read_over_ssh_with_the_key_of_its_secret() {
    let Some(server) = SshServer::start() else {
        return;
    };
    let origin = Origin::new();
    let commit = origin.write("app/a.yaml", "a: 1").commit("first");
    let path = origin.url().trim_start_matches("file://").to_owned();
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder, &server.url(Path::new(&path)), ANY);
    let credential = server.credential("client", "host.pub");
    let open = Interrupt::default();
    let refs = store.list_refs(Some(&credential), &open).expect("refs");
    assert_eq!(refs.refs.get("refs/heads/main"), Some(&commit));
    let request = FetchRequest {
        source: "refs/heads/main".to_owned(),
        depth: Depth::Tip,
    };
    store
        .fetch(&request, Some(&credential), &open)
        .expect("a fetch");
    assert!(store.has(&commit));
    let left = std::fs::read_dir(folder.path().join("store.ssh")).expect("a folder");
    assert_eq!(left.count(), 0, "the key is gone");
}

#[test]
fn a_server_or_a_key_that_is_not_known_is_refused_with_what_to_do() {
    let Some(server) = SshServer::start() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let origin = Origin::new();
    origin.write("a.yaml", "a: 1").commit("first");
    let path = origin.url().trim_start_matches("file://").to_owned();
    let list = |credential: &Credential, path: &str, egress: EgressPolicy| {
        let store = store(&folder, &server.url(Path::new(path)), egress);
        let listed = store.list_refs(Some(credential), &Interrupt::default());
        listed
            .map(|refs| refs.refs.len())
            .map_err(|error| error.to_string())
    };
    let mut unknown = server.credential("client", "host.pub");
    unknown.known_hosts = None;
    for credential in [&unknown, &server.credential("client", "stranger.pub")] {
        let error = list(credential, &path, ANY).expect_err("an unknown server");
        assert!(error.contains("argocd-ssh-known-hosts-cm"), "{error}");
    }
    unknown.insecure = true;
    assert_eq!(
        list(&unknown, &path, ANY),
        Ok(1),
        "nothing is checked when asked for"
    );
    let stranger = server.credential("stranger", "host.pub");
    let error = list(&stranger, &path, ANY).expect_err("an unknown key");
    assert!(error.contains("refuses the key"), "{error}");
    let mut without = server.credential("client", "host.pub");
    without.ssh_key = None;
    let error = list(&without, &path, ANY).expect_err("no key");
    assert!(error.contains("sshPrivateKey"), "{error}");
    let mut broken = server.credential("client", "host.pub");
    broken.ssh_key = Some("nonsense".to_owned().into());
    let error = list(&broken, &path, ANY).expect_err("no key");
    assert!(
        error.contains("no private key") && !error.contains("nonsense"),
        "{error}"
    );
    let fine = server.credential("client", "host.pub");
    let error = list(&fine, "/nowhere/x.git", ANY).expect_err("no repository");
    assert_eq!(error, "repository not found or no access");
    let refuse = EgressPolicy::of_local_flag("--allow", false);
    let error = list(&fine, &path, refuse).expect_err("a refused address");
    assert!(error.contains("--allow"), "{error}");
}

#[test]
fn a_silent_server_is_left_when_nobody_waits() {
    if run("ssh", &["-V"]).is_none() {
        skip_where(SKIPS, "no ssh: run `make servers`");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let open = Interrupt::default();
    let stop = open.clone();
    std::thread::spawn(move || {
        let connection = listener.accept();
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        std::thread::sleep(Duration::from_mins(10));
        drop(connection);
    });
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(&folder, &format!("ssh://git@127.0.0.1:{port}/a"), ANY);
    let began = Instant::now();
    store.list_refs(None, &open).expect_err("interrupted");
    assert!(
        began.elapsed() < Duration::from_mins(5),
        "it does not wait for the server"
    );
}
