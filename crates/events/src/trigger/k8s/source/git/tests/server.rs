//! A repository, and a server of it by HTTP.

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Stdio,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use tokio::{io::AsyncWriteExt, process::Command};

const LOGIN: &str = "shop:hushword";

fn git(folder: &Path, arguments: &[&str]) -> String {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    let output = std::process::Command::new("git")
        .current_dir(folder)
        .args(identity)
        .args(arguments)
        .output()
        .expect("the git program");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn manifest(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

/// A repository with the branches `master` and `next`, the tag `v1`, and files that are no manifests.
pub(super) struct Origin {
    folder: tempfile::TempDir,
    /// The commit of the tag.
    pub(super) first: String,
}

impl Origin {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path();
        let write = |name: &str, text: &str| {
            std::fs::write(root.join(name), text).expect("a file");
        };
        let commit = |message: &str| {
            git(root, &["add", "-A"]);
            git(root, &["commit", "-q", "-m", message]);
        };
        git(root, &["init", "-q", "-b", "master"]);
        std::fs::create_dir(root.join("jobs")).expect("a folder");
        write("jobs/a.yaml", &manifest("first"));
        commit("1");
        let first = git(root, &["rev-parse", "HEAD"]);
        git(root, &["tag", "-a", "v1", "-m", "annotated"]);
        write("jobs/a.yaml", &manifest("second"));
        write("large.yaml", &"# ".repeat(2 << 20));
        write("secret", "k: v\n");
        symlink("/etc/passwd", root.join("out.yaml")).expect("a link");
        symlink("jobs/a.yaml", root.join("in.yaml")).expect("a link");
        symlink("jobs", root.join("alias")).expect("a link");
        std::fs::write(root.join("bytes.yaml"), [0xff, 0xfe]).expect("a file");
        commit("2");
        git(root, &["checkout", "-q", "-b", "next"]);
        write("jobs/a.yaml", &manifest("third"));
        commit("3");
        git(root, &["checkout", "-q", "master"]);
        Self { folder, first }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}

/// A server of this repository by `git http-backend`, which asks for [`LOGIN`] below `/private`.
pub(super) async fn served(origin: &Origin) -> String {
    let root = origin.path();
    let serve = Router::new().fallback(move |request: Request| answer(root.clone(), request));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, serve).await });
    format!("http://{address}")
}

async fn answer(root: PathBuf, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let header = |name: &str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let path = head.uri.path();
    let wanted = format!("Basic {}", STANDARD.encode(LOGIN));
    if path.starts_with("/private") && header("authorization") != wanted {
        let refusal = Response::builder().status(401);
        let refusal = refusal.header("WWW-Authenticate", "Basic realm=\"git\"");
        return refusal.body(Body::empty()).expect("an answer");
    }
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a body");
    let inside = path
        .trim_start_matches("/private")
        .trim_start_matches("/repo");
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root.join(".git"))
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", inside)
        .env("REQUEST_METHOD", head.method.as_str())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("git http-backend");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(&body).await.expect("it reads");
    drop(input);
    let output = child.wait_with_output().await.expect("an answer").stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, rest) = output.split_at(end.expect("headers") + 4);
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(head).lines() {
        match line.split_once(": ") {
            Some(("Status", status)) => response = response.status(&status[..3]),
            Some((name, value)) => response = response.header(name, value),
            None => {}
        }
    }
    let body = Body::from(Bytes::copy_from_slice(rest));
    response.body(body).expect("an answer")
}
