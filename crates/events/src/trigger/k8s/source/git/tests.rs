//! Manifests from repositories of `git http-backend` and of the sshd of OpenSSH.

mod server;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use git_fetch::testkit::SshServer;
use reconcile_core::object::ObjectKey;
use serde_json::{Value, json};

use self::server::{Origin, served};
use super::super::{Remote, Source};
use super::*;
use crate::{api::artifact::ArtifactSource, trigger::stage::Stage};

fn stage() -> Stage {
    let base64 = |text: &str| STANDARD.encode(text);
    Stage::with_secret(&json!({
        "user": base64("shop"), "password": base64("hushword"), "wrong": base64("otherword"),
    }))
}

fn creds(password: &str) -> Value {
    json!({
        "username": {"name": "s", "key": "user"}, "password": {"name": "s", "key": password},
    })
}

/// The source at `url` with more fields.
fn source(url: &str, more: &Value) -> Value {
    let mut git = json!({"url": url, "filePath": "jobs/a.yaml"});
    let fields = more.as_object().expect("fields");
    git.as_object_mut().expect("fields").extend(fields.clone());
    json!({ "git": git })
}

fn remote(source: &Value) -> Result<Remote, String> {
    let source: ArtifactSource = serde_json::from_value(source.clone()).expect("a source");
    match Source::of("k8s.source", Some(&source)).map_err(|error| error.to_string())? {
        Source::Remote(remote) => Ok(remote),
        Source::Object(_) => Err("it is here".to_owned()),
    }
}

/// Name of the object that is read.
async fn read(stage: &Stage, source: &Value) -> Result<String, String> {
    let object = remote(source)?.manifest("k8s.source", stage.run()).await;
    let object = object.map_err(|error| error.to_string())?;
    let name = object["metadata"]["name"].as_str().expect("a name");
    Ok(name.to_owned())
}

#[tokio::test]
async fn a_manifest_is_read_at_a_branch_a_tag_a_ref_and_a_commit() {
    let (stage, origin) = (stage(), Origin::new());
    let url = format!("{}/repo", served(&origin).await);
    let first = origin.first.as_str();
    for (more, expected) in [
        (json!({}), "second"),
        (json!({"branch": "next"}), "third"),
        (json!({"tag": "v1"}), "first"),
        (json!({"tag": "v1", "branch": "next"}), "first"),
        (json!({"ref": "refs/heads/next", "tag": "v1"}), "third"),
        (json!({"ref": "refs/tags/v1"}), "first"),
        (json!({"ref": first}), "first"),
        (json!({"filePath": "./jobs//a.yaml"}), "second"),
    ] {
        let name = read(&stage, &source(&url, &more)).await;
        assert_eq!(name.as_deref(), Ok(expected), "{more}");
    }
    let other = json!({"remote": {"name": "fork", "urls": [url]}});
    let name = read(&stage, &source("https://nowhere.invalid/x", &other)).await;
    assert_eq!(name.as_deref(), Ok("second"), "the remote is read");
}

#[tokio::test]
async fn what_cannot_be_read_is_named_with_its_reason() {
    let (stage, origin) = (stage(), Origin::new());
    let url = format!("{}/repo", served(&origin).await);
    for (more, expected) in [
        (
            json!({"filePath": "jobs/b.yaml"}),
            "jobs/b.yaml is not in the repository",
        ),
        (
            json!({"filePath": "jobs/a.yaml/b"}),
            "jobs/a.yaml/b is not in the repository",
        ),
        (json!({"filePath": "jobs"}), "jobs is a folder"),
        (
            json!({"filePath": "out.yaml"}),
            "out.yaml is a symbolic link",
        ),
        (json!({"filePath": "in.yaml"}), "in.yaml is a symbolic link"),
        (
            json!({"filePath": "alias/a.yaml"}),
            "alias is a symbolic link",
        ),
        (json!({"filePath": "large.yaml"}), "2097152 bytes in a file"),
        (json!({"filePath": "bytes.yaml"}), "the file is not UTF-8"),
        (
            json!({"branch": "gone"}),
            "does not have revision refs/heads/gone",
        ),
        (
            json!({"ref": "0123456789012345678901234567890123456789"}),
            "does not have revision",
        ),
    ] {
        let error = read(&stage, &source(&url, &more)).await;
        let error = error.expect_err(expected);
        assert!(error.contains(expected), "{more}: {error}");
        assert!(error.starts_with("cannot read "), "{error}");
    }
    let missing = source(&format!("{url}-gone"), &json!({}));
    read(&stage, &missing).await.expect_err("no repository");
}

#[tokio::test]
async fn a_server_gets_the_login_of_the_secret() {
    let (stage, origin) = (stage(), Origin::new());
    let url = format!("{}/private/repo", served(&origin).await);
    let name = read(&stage, &source(&url, &json!({"creds": creds("password")}))).await;
    assert_eq!(name.as_deref(), Ok("second"));
    for more in [json!({}), json!({"creds": creds("wrong")})] {
        let error = read(&stage, &source(&url, &more)).await;
        let error = error.expect_err("no access");
        assert!(!error.contains("otherword"), "{error}");
    }
    let absent = read(&stage, &source(&url, &json!({"creds": creds("gone")}))).await;
    let error = absent.expect_err("no such key");
    assert_eq!(error, "cannot read Secret ns/s: key gone not found");
}

#[tokio::test]
async fn addresses_of_metadata_are_not_called() {
    let stage = stage();
    let url = "http://169.254.169.254/repo";
    let error = read(&stage, &source(url, &json!({}))).await;
    let error = error.expect_err("refused");
    assert!(error.contains("link-local"), "{error}");
}

/// A server that takes connections and never answers.
async fn silent() -> (String, Arc<AtomicUsize>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let url = format!("http://{}/repo", listener.local_addr().expect("bound"));
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            open.push(stream);
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    (url, taken)
}

#[tokio::test]
async fn a_server_that_hangs_is_left_after_the_deadline_and_holds_up_no_other() {
    let (stage, origin) = (self::stage(), Origin::new());
    let (hanging, taken) = silent().await;
    let slow = source(&hanging, &json!({}));
    let (first, second) = (read(&stage, &slow), read(&stage, &slow));
    let mut elsewhere = self::stage();
    elsewhere.firing.sensor = ObjectKey::new("elsewhere", "s");
    elsewhere.executor = stage.executor.clone();
    // Another host, too.
    let other = served(&origin).await.replace("127.0.0.1", "localhost");
    let good = source(&format!("{other}/repo"), &json!({}));
    let mut hung = Box::pin(async { tokio::join!(first, second) });
    let seen = async {
        while taken.load(Ordering::SeqCst) < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        ended = &mut hung => panic!("{ended:?}"),
        () = seen => {}
    }
    // Whatever it may hold, it leaves threads to the others.
    tokio::select! {
        biased;
        name = read(&elsewhere, &good) => assert_eq!(name.as_deref(), Ok("second")),
        ended = &mut hung => panic!("{ended:?}"),
    }
    tokio::time::pause();
    let (first, _) = hung.await;
    let error = first.expect_err("late");
    assert!(error.ends_with("no result within 60 s"), "{error}");
}

#[tokio::test]
async fn a_repository_is_read_over_ssh_by_a_known_server_only() {
    let Some(server) = SshServer::start() else {
        return;
    };
    let origin = Origin::new();
    let url = server.url(&origin.path());
    let [key, stranger] = ["client", "stranger"].map(|name| server.text(name));
    let host = server.text("host.pub");
    let cases = [
        (format!("{key}\n# the server\n{host}"), false, Ok("second")),
        (
            format!("{key}\n[127.0.0.1]:{} {host}", server.port),
            false,
            Ok("second"),
        ),
        (key.clone(), true, Ok("second")),
        (
            key.clone(),
            false,
            Err("cannot verify the host key of 127.0.0.1"),
        ),
        (
            format!("{key}\n{}", server.text("stranger.pub")),
            false,
            Err("cannot verify the host key of 127.0.0.1"),
        ),
        (
            format!("{key}\n@revoked * {host}"),
            false,
            Err("the lines behind the key in sshKeySecret"),
        ),
        (
            format!("{stranger}\n{host}"),
            false,
            Err("refuses the key in sshKeySecret"),
        ),
        (
            "hushword".to_owned(),
            true,
            Err("no private key without a passphrase"),
        ),
    ];
    for (secret, any, expected) in cases {
        let stage = Stage::with_secret(&json!({"key": STANDARD.encode(&secret)}));
        let more = json!({
            "sshKeySecret": {"name": "s", "key": "key"}, "insecureIgnoreHostKey": any,
        });
        let name = read(&stage, &source(&url, &more)).await;
        match (name, expected) {
            (Ok(name), Ok(expected)) => assert_eq!(name, expected),
            (Err(error), Err(expected)) => {
                assert!(error.contains(expected), "{error} / {expected}");
                assert!(!error.contains("hushword"), "{error}");
            }
            (found, expected) => panic!("{found:?} is not {expected:?}"),
        }
    }
}

#[test]
fn wrong_fields_are_refused_with_their_path() {
    let (http, ssh) = ("https://git.example.com/a", "git@git.example.com:a");
    let key = json!({"name": "s", "key": "key"});
    for (url, more, field) in [
        ("", json!({}), "url"),
        ("file:///etc", json!({}), "url"),
        ("/etc", json!({}), "url"),
        ("https://u:hushword@h/a", json!({}), "url"),
        ("https://h/../a", json!({}), "url"),
        (http, json!({"remote": {"name": "r"}}), "remote.urls"),
        (
            http,
            json!({"remote": {"urls": ["file:///a"]}}),
            "remote.urls[0]",
        ),
        (http, json!({"filePath": ""}), "filePath"),
        (http, json!({"filePath": "/etc/passwd"}), "filePath"),
        (http, json!({"filePath": "a/../../b"}), "filePath"),
        (http, json!({"filePath": "~/a"}), "filePath"),
        (http, json!({"filePath": "a\\b"}), "filePath"),
        (http, json!({"ref": "main"}), "ref"),
        (http, json!({"ref": "refs/heads/*"}), "ref"),
        (http, json!({"tag": "a:refs/heads/b"}), "tag"),
        (http, json!({"branch": "a b"}), "branch"),
        (http, json!({"creds": {"username": key}}), "creds.password"),
        (http, json!({"creds": {"password": key}}), "creds.username"),
        (http, json!({"sshKeySecret": key}), "sshKeySecret"),
        (ssh, json!({}), "sshKeySecret"),
        (
            ssh,
            json!({"creds": creds("password"), "sshKeySecret": key}),
            "creds",
        ),
    ] {
        let error = remote(&source(url, &more)).err().expect("refused");
        let path = format!("k8s.source.git.{field}: ");
        assert!(error.starts_with(&path), "{error} / {path}");
        assert!(!error.contains("hushword"), "{error}");
    }
    let note = remote(&source(ssh, &json!({"sshKeySecret": key}))).ok();
    assert_eq!(
        note.expect("good").note(),
        "the object is read from jobs/a.yaml of git@git.example.com:a at refs/heads/master"
    );
}
