//! Git LFS on a server of Git and of its batch API, over HTTP.

use std::{
    collections::BTreeMap,
    io::Write,
    process::Stdio,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path as UrlPath, RawQuery, State},
    http::{HeaderMap, StatusCode, header::AUTHORIZATION},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::ByteString;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::*;

/// What a server has, and what it was asked for.
#[derive(Clone)]
pub(crate) struct LfsServer {
    folder: std::path::PathBuf,
    /// `http://127.0.0.1:PORT`.
    address: String,
    /// What downloads give, by hash.
    contents: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    /// Where downloads are, in place of this server.
    elsewhere: Arc<Mutex<Option<String>>>,
    /// Calls of the batch API.
    batches: Arc<AtomicUsize>,
    /// Headers of the downloads.
    downloads: Arc<Mutex<Vec<HeaderMap>>>,
}

impl LfsServer {
    /// Serves the repository in a folder.
    pub(crate) async fn start(folder: &Path) -> Self {
        reconcile_core::operator::install_tls();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a port");
        let server = Self {
            folder: folder.to_owned(),
            address: format!("http://{}", listener.local_addr().expect("an address")),
            contents: Arc::default(),
            elsewhere: Arc::default(),
            batches: Arc::default(),
            downloads: Arc::default(),
        };
        let router = Router::new()
            .route("/r.git/info/refs", get(refs))
            .route("/r.git/git-upload-pack", post(pack))
            .route("/r.git/info/lfs/objects/batch", post(batch))
            .route("/objects/{oid}", get(content))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("{}/r.git", self.address)
    }

    /// Keeps a content and gives its pointer.
    pub(crate) fn keep(&self, content: &str) -> String {
        let oid = hex::encode(Sha256::digest(content));
        let pointer = format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {}\n",
            content.len()
        );
        self.contents.lock().insert(oid, content.into());
        pointer
    }

    /// The `Authorization` of each download.
    fn logins(&self) -> Vec<Option<String>> {
        let text = |headers: &HeaderMap| {
            let value = headers.get(AUTHORIZATION)?;
            value.to_str().ok().map(str::to_owned)
        };
        self.downloads.lock().iter().map(text).collect()
    }
}

/// What the git program says; it serves as git-http-backend lets it.
fn upload_pack(server: &LfsServer, headers: &HeaderMap, more: &[&str], input: &[u8]) -> Vec<u8> {
    let protocol = headers.get("git-protocol").and_then(|it| it.to_str().ok());
    let mut child = Command::new("git")
        .args(["upload-pack", "--stateless-rpc"])
        .args(more)
        .arg(&server.folder)
        .env("GIT_PROTOCOL", protocol.unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the git program");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input).expect("written");
    drop(stdin);
    child.wait_with_output().expect("an end").stdout
}

async fn refs(State(server): State<LfsServer>, headers: HeaderMap, _: RawQuery) -> Response {
    let mut body = b"001e# service=git-upload-pack\n0000".to_vec();
    body.extend(upload_pack(&server, &headers, &["--advertise-refs"], b""));
    let kind = "application/x-git-upload-pack-advertisement";
    ([("content-type", kind)], body).into_response()
}

async fn pack(State(server): State<LfsServer>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = upload_pack(&server, &headers, &[], &body);
    let kind = "application/x-git-upload-pack-result";
    ([("content-type", kind)], answer).into_response()
}

async fn batch(State(server): State<LfsServer>, headers: HeaderMap, body: Bytes) -> Response {
    server.batches.fetch_add(1, Ordering::SeqCst);
    let login = format!("Basic {}", STANDARD.encode("git:hush"));
    if headers.get(AUTHORIZATION).is_none_or(|it| *it != *login) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let request: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(request["operation"], "download");
    assert_eq!(headers["accept"], "application/vnd.git-lfs+json");
    let base = server.elsewhere.lock().clone();
    let base = base.unwrap_or_else(|| server.address.clone());
    let objects: Vec<Value> = (request["objects"].as_array().expect("a list").iter())
        .map(|object| {
            let oid = object["oid"].as_str().expect("text");
            if !server.contents.lock().contains_key(oid) {
                return json!({"oid": oid, "size": 1, "error": {"code": 404, "message": "hush"}});
            }
            let action =
                json!({"href": format!("{base}/objects/{oid}"), "header": {"x-ticket": "7"}});
            json!({"oid": oid, "size": object["size"], "actions": {"download": action}})
        })
        .collect();
    json!({ "objects": objects }).to_string().into_response()
}

async fn content(
    State(server): State<LfsServer>,
    UrlPath(oid): UrlPath<String>,
    headers: HeaderMap,
) -> Response {
    server.downloads.lock().push(headers);
    let found = server.contents.lock().get(&oid).cloned();
    found.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        IntoResponse::into_response,
    )
}

/// A repository Secret for the server.
pub(crate) fn secret(server: &LfsServer, members: &[(&str, &str)]) -> RepositorySecret {
    let url = server.url();
    let all = [("url", &*url), ("username", "git"), ("password", "hush")];
    let members = all.iter().chain(members);
    let data = members.map(|(key, text)| ((*key).to_owned(), ByteString((*text).into())));
    let label = "argocd.argoproj.io/secret-type".to_owned();
    let labels = [(label, "repository".to_owned())];
    RepositorySecret::read(&labels.into(), &data.collect()).expect("a Secret")
}

struct LfsBed {
    origin: Origin,
    server: LfsServer,
    hub: RepoHub,
    credentials: Credentials,
    _stores: tempfile::TempDir,
}

impl LfsBed {
    async fn new(members: &[(&str, &str)]) -> Self {
        let (origin, stores) = (Origin::new(), tempfile::tempdir().expect("a folder"));
        let server = LfsServer::start(origin.folder.path()).await;
        let credentials = Credentials::default();
        credentials.set("r", Some(secret(&server, members)));
        let metrics = GitMetrics::register(&Registry::new()).expect("metrics");
        let clock = Clock::system();
        let hub = RepoHub::new(config(&stores), credentials.clone(), clock, metrics, |_| {});
        Self {
            origin,
            server,
            hub,
            credentials,
            _stores: stores,
        }
    }

    /// The newest commit, as an Application opens it.
    async fn open(&self) -> Commit {
        let url = self.server.url();
        let fresh = Some(Clock::system().now());
        let refs = self.hub.refs(&url, fresh).await.expect("refs").refs;
        let at = resolve(&refs, "main", "").expect("main");
        let commit = self.hub.commit(&url, &at).await.expect("a commit");
        self.hub.with_large_files(&url, commit)
    }

    async fn fetch(&self, commit: &Commit) -> Result<bool, RepoError> {
        self.hub.fetch_large_files(commit).await
    }
}

fn text(commit: &Commit, path: &str) -> (String, bool) {
    let tree = commit.tree().expect("a tree");
    let content = tree.file(path, 1 << 20).expect("readable").expect("a file");
    let text = String::from_utf8(content).expect("text");
    (text, tree.lacks_files())
}

#[tokio::test(flavor = "multi_thread")]
async fn pointers_are_their_contents_when_the_secret_says_so() {
    let bed = LfsBed::new(&[("enableLfs", "true")]).await;
    let (a, b) = (bed.server.keep("a: 1\n"), bed.server.keep("b: 2\n"));
    let files = [
        ("app/a.yaml", &*a),
        ("app/b.yaml", &b),
        ("c.yaml", "c: 3\n"),
    ];
    for (path, content) in files {
        bed.origin.write(path, content);
    }
    bed.origin.commit("1");
    let commit = bed.open().await;
    assert_eq!(text(&commit, "c.yaml"), ("c: 3\n".to_owned(), false));
    assert!(!bed.fetch(&commit).await.expect("nothing is missing"));
    for (path, pointer) in [("app/a.yaml", &a), ("app/b.yaml", &b)] {
        assert_eq!(text(&commit, path), (pointer.clone(), true));
    }
    assert!(bed.fetch(&commit).await.expect("downloaded"));
    assert_eq!(text(&commit, "app/a.yaml"), ("a: 1\n".to_owned(), false));
    assert_eq!(text(&commit, "app/b.yaml"), ("b: 2\n".to_owned(), false));
    // What was downloaded is there for later passes; one call asked for both.
    let again = bed.open().await;
    assert_eq!(text(&again, "app/a.yaml").0, "a: 1\n");
    assert_eq!(bed.server.batches.load(Ordering::SeqCst), 1);
    let own = format!("Basic {}", STANDARD.encode("git:hush"));
    assert_eq!(bed.server.logins(), [Some(own.clone()), Some(own)]);
    assert_eq!(bed.server.downloads.lock()[0]["x-ticket"], "7");

    // Without the member the pointer is the file, and nothing that was made of the contents is taken for it.
    let record = {
        let tree = again.tree().expect("a tree");
        tree.look("app").expect("readable");
        tree.record()
    };
    bed.credentials.set("r", Some(secret(&bed.server, &[])));
    let plain = bed.open().await;
    assert_eq!(text(&plain, "app/a.yaml"), (a, false));
    assert!(!plain.tree().expect("a tree").matches(&record));
    assert!(!bed.fetch(&plain).await.expect("nothing is missing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_from_elsewhere_gets_no_login_of_the_repository() {
    let bed = LfsBed::new(&[("enableLfs", "true")]).await;
    let pointer = bed.server.keep("a: 1\n");
    bed.origin.write("a.yaml", &pointer).commit("1");
    let other = LfsServer::start(bed.origin.folder.path()).await;
    *other.contents.lock() = bed.server.contents.lock().clone();
    *bed.server.elsewhere.lock() = Some(other.address.clone());
    let commit = bed.open().await;
    text(&commit, "a.yaml");
    bed.fetch(&commit).await.expect("downloaded");
    assert_eq!(text(&commit, "a.yaml").0, "a: 1\n");
    assert_eq!(other.logins(), [None]);
    assert_eq!(other.downloads.lock()[0]["x-ticket"], "7");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_the_file_is_refused_and_no_secret_is_quoted() {
    let bed = LfsBed::new(&[("enableLfs", "true")]).await;
    let absent = "version https://git-lfs.github.com/spec/v1\noid sha256:";
    let absent = format!("{absent}{}\nsize 5\n", "0".repeat(64));
    let large = absent.replace("size 5", "size 999999999999");
    let other = bed.server.keep("other");
    let longer = bed.server.keep("longer");
    for content in bed.server.contents.lock().values_mut() {
        let is_other = content == b"other";
        *content = if is_other {
            b"OTHER".into()
        } else {
            b"longer than that".into()
        };
    }
    let cases = [
        ("absent.yaml", &absent, "gives 404 for 000000000000"),
        ("other.yaml", &other, "sends something else than"),
        ("longer.yaml", &longer, "sends more than the pointer says"),
    ];
    for (path, pointer, _) in &cases {
        bed.origin.write(path, pointer);
    }
    bed.origin.write("large.yaml", &large).commit("1");
    let commit = bed.open().await;
    for (path, _, problem) in cases {
        text(&commit, path);
        let error = bed.fetch(&commit).await.expect_err("refused").to_string();
        assert!(error.contains(problem), "{path}: {error}");
        assert!(!error.contains("hush"), "{error}");
        assert!(text(&commit, path).1, "{path}: nothing is kept");
        drop(bed.fetch(&commit).await);
    }
    // Its size is known without its content.
    let tree = commit.tree().expect("a tree");
    let error = tree.file("large.yaml", 1 << 20).expect_err("too large");
    assert!(matches!(error, GitError::TooLarge(_)), "{error}");
    assert!(!bed.fetch(&commit).await.expect("nothing is asked for"));

    let wrong = [("enableLfs", "true"), ("password", "wrong")];
    bed.credentials.set("r", Some(secret(&bed.server, &wrong)));
    text(&commit, "other.yaml");
    let error = bed.fetch(&commit).await.expect_err("refused").to_string();
    assert!(error.contains("refuses the credentials"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pointers_of_a_submodule_are_their_contents_as_its_own_secret_says() {
    let bed = LfsBed::new(&[("enableLfs", "true")]).await;
    let pointer = bed.server.keep("a: 1\n");
    let inner = bed.origin.write("a.yaml", &pointer).commit("1");
    let parent = Origin::new();
    // The parent's Secret says nothing, so its own pointers stay.
    parent.write("own.yaml", &pointer).commit("1");
    submodules::add(&parent, "vendor", &bed.server.url(), &inner);
    let head = git(parent.folder.path(), &["rev-parse", "HEAD"]);
    let at = Resolved::of_commit_id(&head).expect("a commit");
    let url = parent.url();
    let open = async || {
        let commit = bed.hub.commit(&url, &at).await.expect("a commit");
        let commit = bed.hub.with_large_files(&url, commit);
        let whole = bed.hub.with_submodules(&url, commit, &|_| true).await;
        whole.expect("submodules")
    };
    let commit = open().await;
    assert_eq!(text(&commit, "own.yaml"), (pointer.clone(), false));
    assert_eq!(text(&commit, "vendor/a.yaml"), (pointer.clone(), true));
    assert!(bed.fetch(&commit).await.expect("downloaded"));
    assert_eq!(text(&commit, "vendor/a.yaml"), ("a: 1\n".to_owned(), false));
    assert!(!bed.fetch(&commit).await.expect("nothing is missing"));
    bed.credentials.set("r", Some(secret(&bed.server, &[])));
    assert_eq!(text(&open().await, "vendor/a.yaml"), (pointer, false));
}
