//! Git over ssh, with the sshd of OpenSSH.

use std::{net::TcpListener, time::Instant};

use git_fetch::testkit::SshServer;
use reconcile_core::testkit::skip_where;

use super::*;

/// A credential with this key, which knows the server by that one.
fn credential_of(server: &SshServer, key: &str, host: &str) -> Credential {
    let known = format!("[127.0.0.1]:{} {}", server.port, server.text(host));
    Credential {
        ssh_key: Some(server.text(key).into()),
        known_hosts: Some(known.into()),
        ..Credential::default()
    }
}

fn store(folder: &tempfile::TempDir, url: &str, egress: EgressPolicy) -> Store {
    let path = folder.path().join("store.git");
    Store::open(&path, url, rules(egress)).expect("a store")
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
    let login = credential_of(&server, "client", "host.pub")
        .login()
        .expect("a login");
    let open = Interrupt::default();
    let refs = store.list_refs(Some(&login), &open).expect("refs");
    assert_eq!(refs.refs.get("refs/heads/main"), Some(&commit));
    let request = FetchRequest {
        source: "refs/heads/main".to_owned(),
        depth: Depth::Tip,
    };
    store.fetch(&request, Some(&login), &open).expect("a fetch");
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
        let login = credential.login().expect("a login");
        let listed = store.list_refs(Some(&login), &Interrupt::default());
        listed
            .map(|refs| refs.refs.len())
            .map_err(|error| error.to_string())
    };
    let mut unknown = credential_of(&server, "client", "host.pub");
    unknown.known_hosts = None;
    for credential in [&unknown, &credential_of(&server, "client", "stranger.pub")] {
        let error = list(credential, &path, ANY).expect_err("an unknown server");
        assert!(error.contains("argocd-ssh-known-hosts-cm"), "{error}");
    }
    unknown.insecure = true;
    assert_eq!(
        list(&unknown, &path, ANY),
        Ok(1),
        "nothing is checked when asked for"
    );
    let stranger = credential_of(&server, "stranger", "host.pub");
    let error = list(&stranger, &path, ANY).expect_err("an unknown key");
    assert!(error.contains("refuses the key"), "{error}");
    let mut without = credential_of(&server, "client", "host.pub");
    without.ssh_key = None;
    let error = list(&without, &path, ANY).expect_err("no key");
    assert!(error.contains("sshPrivateKey"), "{error}");
    let mut broken = credential_of(&server, "client", "host.pub");
    broken.ssh_key = Some("nonsense".to_owned().into());
    let error = list(&broken, &path, ANY).expect_err("no key");
    assert!(
        error.contains("no private key") && !error.contains("nonsense"),
        "{error}"
    );
    let fine = credential_of(&server, "client", "host.pub");
    let error = list(&fine, "/nowhere/x.git", ANY).expect_err("no repository");
    assert_eq!(error, "repository not found or no access");
    let refuse = EgressPolicy::of_local_flag("--allow", false);
    let error = list(&fine, &path, refuse).expect_err("a refused address");
    assert!(error.contains("--allow"), "{error}");
}

#[test]
fn a_silent_server_is_left_when_nobody_waits() {
    if Command::new("ssh").arg("-V").output().is_err() {
        skip_where(SshServer::SKIPS, "no ssh: run `make servers`");
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
