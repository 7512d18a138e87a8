//! Git against real repositories made with the git program, and revisions.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus::Registry;
use reconcile_core::{clock::Clock, object::ObjectKey};

use super::*;
use crate::metrics::GitMetrics;

fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .current_dir(folder)
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@example.com",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .output()
        .expect("the git program");
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A repository made with the git program.
pub(crate) struct Origin {
    folder: tempfile::TempDir,
}

impl Origin {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        git(folder.path(), &["init", "-q"]);
        Self { folder }
    }

    pub(crate) fn write(&self, path: &str, content: &str) -> &Self {
        let path = self.folder.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, content).expect("a file");
        self
    }

    pub(crate) fn remove(&self, path: &str) -> &Self {
        std::fs::remove_file(self.folder.path().join(path)).expect("a file");
        self
    }

    pub(crate) fn commit(&self, message: &str) -> String {
        git(self.folder.path(), &["add", "-A"]);
        git(self.folder.path(), &["commit", "-q", "-m", message]);
        git(self.folder.path(), &["rev-parse", "HEAD"])
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}", self.folder.path().display())
    }
}

type Woken = Arc<Mutex<Vec<ObjectKey>>>;

/// A repository and a hub that reads it.
struct Bed {
    origin: Origin,
    url: String,
    hub: RepoHub,
    woken: Woken,
    stores: tempfile::TempDir,
}

impl Bed {
    fn new() -> Self {
        reconcile_core::operator::install_tls();
        let stores = tempfile::tempdir().expect("a folder");
        let woken: Woken = Arc::default();
        let config = HubConfig {
            folder: stores.path().to_owned(),
            poll: Duration::from_secs(60),
            jitter: Duration::ZERO,
        };
        let metrics = GitMetrics::register(&Registry::new()).expect("metrics");
        let told = woken.clone();
        let moved = move |app| told.lock().push(app);
        let origin = Origin::new();
        Self {
            url: origin.url(),
            origin,
            hub: RepoHub::new(
                config,
                Credentials::default(),
                Clock::system(),
                metrics,
                moved,
            ),
            woken,
            stores,
        }
    }

    /// The refs, asked for now when they shall be `fresh`.
    async fn refs(&self, fresh: bool) -> Arc<RefList> {
        let since = fresh.then(|| Clock::system().now());
        self.hub.refs(&self.url, since).await.expect("refs").refs
    }

    /// Where `main` is now.
    async fn main(&self) -> Resolved {
        resolve(&*self.refs(true).await, "main", "").expect("main")
    }

    async fn folder_id(&self, at: &Resolved, path: &str) -> Result<String, RepoError> {
        self.hub.folder_id(&self.url, at, path).await
    }

    /// Names and contents of the files below `path`.
    async fn read(&self, at: &Resolved, path: &str) -> Result<Vec<(String, String)>, RepoError> {
        self.folder_id(at, path).await?;
        let found = self
            .hub
            .files(&self.url, &at.commit, path, true, 1 << 20, |_| true)
            .await?;
        let text = |content: &[u8]| String::from_utf8_lossy(content).into_owned();
        Ok(found
            .files
            .into_iter()
            .map(|file| (file.path, text(&file.content)))
            .collect())
    }
}

#[tokio::test]
async fn files_are_read_at_branches_tags_and_commits() {
    let bed = Bed::new();
    let first = bed.origin.write("app/a.yaml", "one").commit("1");
    let tag = ["tag", "-a", "v1.0.0", "-m", "annotated"];
    git(bed.origin.folder.path(), &tag);
    let second = bed
        .origin
        .write("app/a.yaml", "two")
        .write("app/sub/b.yaml", "b")
        .commit("2");
    let refs = bed.refs(false).await;
    let cases = [
        ("", &second),
        ("HEAD", &second),
        ("main", &second),
        ("refs/heads/main", &second),
        ("v1.0.0", &first),
        ("1.*", &first),
        (first.as_str(), &first),
        (&first[..8], &first),
    ];
    for (revision, expected) in cases {
        let found = bed.hub.resolve(&bed.url, &refs, revision, "").await;
        let at = found.expect(revision);
        assert_eq!(&at.commit, expected, "{revision}");
        let files = bed.read(&at, "app").await.expect("files");
        let content = if at.commit == first { "one" } else { "two" };
        assert_eq!(
            files[0],
            ("a.yaml".to_owned(), content.to_owned()),
            "{revision}"
        );
    }
    let unknown = bed.hub.resolve(&bed.url, &refs, "nope", "").await;
    assert!(unknown.is_err());
    let missing = bed.folder_id(&bed.main().await, "elsewhere").await;
    let missing = missing.expect_err("no such folder").to_string();
    assert!(missing.contains("app path does not exist"), "{missing}");
}

#[tokio::test]
async fn the_id_of_a_folder_changes_only_with_the_folder() {
    let bed = Bed::new();
    bed.origin
        .write("a/x.yaml", "1")
        .write("b/x.yaml", "1")
        .commit("1");
    let app = ObjectKey::new("argocd", "a");
    bed.hub.follow(&app, &bed.url, "main", "");
    let known = || async { resolve(&*bed.refs(false).await, "main", "").expect("main") };
    let old = known().await;
    let id = async |at: &Resolved, path: &str| bed.folder_id(at, path).await.expect("an id");
    let ids = (id(&old, "a").await, id(&old, "b").await);
    bed.origin.write("b/x.yaml", "2").commit("2");
    assert_eq!(
        known().await,
        old,
        "refs are only listed again when somebody asks for newer ones"
    );
    let new = bed.main().await;
    assert_ne!(new, old);
    assert_eq!(bed.woken.lock().as_slice(), [app], "the follower is woken");
    assert_eq!(id(&new, "a").await, ids.0);
    assert_ne!(id(&new, "b").await, ids.1);
}

#[tokio::test]
async fn links_stay_inside_the_repository() {
    let bed = Bed::new();
    bed.origin
        .write("shared/s.yaml", "shared")
        .write("app/a.yaml", "a");
    let link = |target: &str, name: &str| {
        let path = bed.origin.folder.path().join(name);
        std::os::unix::fs::symlink(target, path).expect("a link");
    };
    link("../shared/s.yaml", "app/link.yaml");
    link("nowhere.yaml", "app/dangling.yaml");
    bed.origin.commit("1");
    let at = bed.main().await;
    let files = bed.read(&at, "app").await.expect("files");
    let names: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["a.yaml", "link.yaml"]);
    assert_eq!(files[1].1, "shared");
    let outside = |error: RepoError| {
        let text = error.to_string();
        assert!(text.contains("outside of the repository"), "{text}");
    };
    for target in ["/etc/passwd", "../../../etc/passwd"] {
        link(target, "app/bad.yaml");
        bed.origin.commit("bad");
        let read = bed.read(&bed.main().await, "app").await;
        outside(read.expect_err("a link that leads out"));
        bed.origin.remove("app/bad.yaml").commit("good");
    }
    let climb = bed.folder_id(&at, "../..").await;
    outside(climb.expect_err("a path that leads out"));
}

#[tokio::test]
async fn stores_of_ours_are_no_repositories() {
    let bed = Bed::new();
    bed.origin.write("secret.yaml", "a").commit("1");
    let at = bed.main().await;
    bed.read(&at, "").await.expect("files");
    let stores = bed.stores.path();
    let store = std::fs::read_dir(stores)
        .expect("the stores")
        .find_map(Result::ok)
        .expect("a store");
    let name = store.file_name().to_string_lossy().into_owned();
    for url in [
        format!("file://{}/{name}", stores.display()),
        format!("file://{}/x/../{name}", stores.display()),
    ] {
        std::fs::create_dir_all(stores.join("x")).expect("a folder");
        let refused = bed.hub.refs(&url, None).await.expect_err("refused");
        assert!(matches!(refused, RepoError::Own), "{refused}");
    }
}

#[tokio::test]
async fn a_server_that_goes_away_leaves_the_refs_of_before() {
    let bed = Bed::new();
    bed.origin.write("a.yaml", "a").commit("1");
    bed.refs(false).await;
    let folder = bed.origin.folder.path();
    let away = folder.with_extension("away");
    std::fs::rename(folder, &away).expect("moved away");
    let now = Some(Clock::system().now());
    let kept = bed.hub.refs(&bed.url, now).await;
    assert!(kept.expect("the refs of before").failing.is_some());
    std::fs::rename(&away, folder).expect("moved back");
    let error = bed.hub.refs("file:///nowhere/at/all", None).await;
    let error = error.expect_err("no repository");
    assert!(error.is_transient(), "{error}");
}

#[test]
fn credentials_are_found_by_url_and_by_prefix() {
    let secret = |url: &str, template: bool, password: &str| RepositorySecret {
        url: normalize(url),
        template,
        credential: Credential {
            username: "u".into(),
            password: password.into(),
            insecure: false,
        },
        unsupported: Vec::new(),
    };
    let credentials = Credentials::default();
    credentials.set("a", Some(secret("https://git/org", true, "org")));
    credentials.set("b", Some(secret("https://git/org/team", true, "team")));
    credentials.set(
        "c",
        Some(secret("https://git/org/team/own.git", false, "own")),
    );
    credentials.set("d", Some(secret("https://git/org/public", false, "")));
    let password = |url: &str| {
        credentials
            .find(url)
            .map(|secret| secret.credential.password)
    };
    assert_eq!(password("https://git/org/team/own").as_deref(), Some("own"));
    assert_eq!(
        password("https://git/org/team/other").as_deref(),
        Some("team")
    );
    assert_eq!(password("https://git/org/x").as_deref(), Some("org"));
    assert_eq!(password("https://git/org/public").as_deref(), Some("org"));
    assert_eq!(password("https://elsewhere/x"), None);
    assert!(!format!("{:?}", credentials.find("https://git/org/x")).contains("password: \""));
}

#[test]
fn members_of_a_secret_count_only_when_they_say_something() {
    let labels = [(
        "argocd.argoproj.io/secret-type".to_owned(),
        "repository".to_owned(),
    )]
    .into();
    let read = |data: &[(&str, &str)]| {
        let data = data
            .iter()
            .map(|(key, value)| {
                let value = k8s_openapi::ByteString(value.as_bytes().to_vec());
                ((*key).to_owned(), value)
            })
            .collect();
        RepositorySecret::read(&labels, &data).expect("a Secret of a Git repository")
    };
    let url = ("url", "https://git/a.git");
    assert!(
        read(&[url, ("proxy", ""), ("sshPrivateKey", "")])
            .unsupported
            .is_empty()
    );
    assert_eq!(read(&[url, ("proxy", "http://p")]).unsupported, ["proxy"]);
}

#[tokio::test]
async fn a_store_lives_through_more_commits_than_it_keeps_packs() {
    let bed = Bed::new();
    for number in 0..40 {
        let text = number.to_string();
        let commit = bed.origin.write("app/a.yaml", &text).commit("next");
        let at = bed.main().await;
        assert_eq!(at.commit, commit);
        let files = bed.read(&at, "app").await.expect("files");
        assert_eq!(files[0].1, text);
    }
}
