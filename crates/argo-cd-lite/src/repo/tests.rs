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

fn hub(stores: &Path) -> (RepoHub, Woken) {
    reconcile_core::operator::install_tls();
    let woken: Woken = Arc::default();
    let told = woken.clone();
    let config = HubConfig {
        folder: stores.to_owned(),
        poll: Duration::from_secs(60),
        jitter: Duration::ZERO,
    };
    let metrics = GitMetrics::register(&Registry::new()).expect("metrics");
    let hub = RepoHub::new(
        config,
        Credentials::default(),
        Clock::system(),
        metrics,
        move |app| {
            told.lock().push(app);
        },
    );
    (hub, woken)
}

async fn read(
    hub: &RepoHub,
    url: &str,
    at: &Resolved,
    path: &str,
) -> Result<Vec<(String, String)>, RepoError> {
    hub.folder_id(url, at, path).await?;
    let found = hub
        .files(url, &at.commit, path, true, 1 << 20, |_| true)
        .await?;
    Ok(found
        .files
        .into_iter()
        .map(|file| {
            (
                file.path,
                String::from_utf8_lossy(&file.content).into_owned(),
            )
        })
        .collect())
}

#[tokio::test]
async fn files_are_read_at_branches_tags_and_commits() {
    let origin = Origin::new();
    let first = origin.write("app/a.yaml", "one").commit("1");
    git(
        origin.folder.path(),
        &["tag", "-a", "v1.0.0", "-m", "annotated"],
    );
    let second = origin
        .write("app/a.yaml", "two")
        .write("app/sub/b.yaml", "b")
        .commit("2");
    let stores = tempfile::tempdir().expect("a folder");
    let (hub, _) = hub(stores.path());
    let url = origin.url();
    let refs = hub.refs(&url, None).await.expect("refs").refs;
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
        let at = hub
            .resolve(&url, &refs, revision, "")
            .await
            .expect(revision);
        assert_eq!(&at.commit, expected, "{revision}");
        let files = read(&hub, &url, &at, "app").await.expect("files");
        let content = if at.commit == first { "one" } else { "two" };
        assert_eq!(
            files[0],
            ("a.yaml".to_owned(), content.to_owned()),
            "{revision}"
        );
    }
    assert!(hub.resolve(&url, &refs, "nope", "").await.is_err());
    let at = hub.resolve(&url, &refs, "main", "").await.expect("main");
    let missing = hub
        .folder_id(&url, &at, "elsewhere")
        .await
        .expect_err("no such folder");
    assert!(
        missing.to_string().contains("app path does not exist"),
        "{missing}"
    );
}

#[tokio::test]
async fn the_id_of_a_folder_changes_only_with_the_folder() {
    let origin = Origin::new();
    origin
        .write("a/x.yaml", "1")
        .write("b/x.yaml", "1")
        .commit("1");
    let stores = tempfile::tempdir().expect("a folder");
    let (hub, woken) = hub(stores.path());
    let url = origin.url();
    let app = ObjectKey::new("argocd", "a");
    hub.follow(&app, &url, "main", "");
    let at = |refs: Arc<RefList>| resolve(&refs, "main", "").expect("main");
    let old = at(hub.refs(&url, None).await.expect("refs").refs);
    let ids = (
        hub.folder_id(&url, &old, "a").await.expect("a"),
        hub.folder_id(&url, &old, "b").await.expect("b"),
    );
    origin.write("b/x.yaml", "2").commit("2");
    let same = at(hub.refs(&url, None).await.expect("refs").refs);
    assert_eq!(
        same, old,
        "refs are only listed again when somebody asks for newer ones"
    );
    let now = Clock::system().now();
    let new = at(hub.refs(&url, Some(now)).await.expect("refs").refs);
    assert_ne!(new, old);
    assert_eq!(woken.lock().as_slice(), [app], "the follower is woken");
    assert_eq!(hub.folder_id(&url, &new, "a").await.expect("a"), ids.0);
    assert_ne!(hub.folder_id(&url, &new, "b").await.expect("b"), ids.1);
}

#[tokio::test]
async fn links_stay_inside_the_repository() {
    let origin = Origin::new();
    origin
        .write("shared/s.yaml", "shared")
        .write("app/a.yaml", "a");
    let link = |target: &str, name: &str| {
        std::os::unix::fs::symlink(target, origin.folder.path().join(name)).expect("a link");
    };
    link("../shared/s.yaml", "app/link.yaml");
    link("nowhere.yaml", "app/dangling.yaml");
    origin.commit("1");
    let stores = tempfile::tempdir().expect("a folder");
    let (hub, _) = hub(stores.path());
    let url = origin.url();
    let at = resolve(&hub.refs(&url, None).await.expect("refs").refs, "main", "").expect("main");
    let files = read(&hub, &url, &at, "app").await.expect("files");
    let names: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(names, ["a.yaml", "link.yaml"]);
    assert_eq!(files[1].1, "shared");
    for (number, target) in ["/etc/passwd", "../../../etc/passwd"]
        .into_iter()
        .enumerate()
    {
        link(target, &format!("app/bad{number}.yaml"));
        origin.commit("bad");
        let refs = hub
            .refs(&url, Some(Clock::system().now()))
            .await
            .expect("refs")
            .refs;
        let at = resolve(&refs, "main", "").expect("main");
        let error = read(&hub, &url, &at, "app")
            .await
            .expect_err("a link that leads out");
        assert!(
            error.to_string().contains("outside of the repository"),
            "{error}"
        );
        std::fs::remove_file(origin.folder.path().join(format!("app/bad{number}.yaml")))
            .expect("removed");
        origin.commit("good");
    }
    let climb = hub
        .folder_id(&url, &at, "../..")
        .await
        .expect_err("a path that leads out");
    assert!(
        climb.to_string().contains("outside of the repository"),
        "{climb}"
    );
}

#[tokio::test]
async fn a_server_that_goes_away_leaves_the_refs_of_before() {
    let origin = Origin::new();
    origin.write("a.yaml", "a").commit("1");
    let stores = tempfile::tempdir().expect("a folder");
    let (hub, _) = hub(stores.path());
    let url = origin.url();
    hub.refs(&url, None).await.expect("refs");
    let away = origin.folder.path().with_extension("away");
    std::fs::rename(origin.folder.path(), &away).expect("moved away");
    let kept = hub
        .refs(&url, Some(Clock::system().now()))
        .await
        .expect("the refs of before");
    assert!(kept.failing.is_some());
    std::fs::rename(&away, origin.folder.path()).expect("moved back");
    let error = hub
        .refs("file:///nowhere/at/all", None)
        .await
        .expect_err("no repository");
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

#[tokio::test]
async fn a_store_lives_through_more_commits_than_it_keeps_packs() {
    let origin = Origin::new();
    let stores = tempfile::tempdir().expect("a folder");
    let (hub, _) = hub(stores.path());
    let url = origin.url();
    for number in 0..40 {
        let commit = origin
            .write("app/a.yaml", &number.to_string())
            .commit("next");
        let refs = hub
            .refs(&url, Some(Clock::system().now()))
            .await
            .expect("refs")
            .refs;
        let at = resolve(&refs, "main", "").expect("main");
        assert_eq!(at.commit, commit);
        let files = read(&hub, &url, &at, "app").await.expect("files");
        assert_eq!(files[0].1, number.to_string());
    }
}
