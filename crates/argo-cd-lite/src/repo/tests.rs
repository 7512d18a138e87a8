//! Git against real repositories made with the git program, and revisions.

use std::{path::Path, process::Command, sync::Arc, time::Duration};

use parking_lot::Mutex;
use prometheus::Registry;
use reconcile_core::{clock::Clock, egress::EgressPolicy, object::ObjectKey};
use secrecy::ExposeSecret;

use git_fetch::StoreRules;

use super::*;
use crate::metrics::GitMetrics;

mod bounds;
mod credentials;
pub(crate) mod large_files;
mod servers;
mod signatures;
mod ssh;
mod stores;
mod submodules;

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

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
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

/// Rules of a store of servers that `egress` permits.
pub(crate) fn rules(egress: EgressPolicy) -> StoreRules {
    StoreRules {
        limits: GitLimits::default(),
        egress,
        names: trust::NAMES,
    }
}

fn config(stores: &tempfile::TempDir) -> HubConfig {
    HubConfig {
        folder: stores.path().to_owned(),
        disk_budget: DEFAULT_DISK_BUDGET,
        limits: GitLimits::default(),
        file_repositories: FileRepositories::Allow,
        egress: EgressPolicy::AllowLinkLocal,
        trust: Trust::default(),
        poll: Duration::from_secs(60),
        jitter: Duration::ZERO,
    }
}

impl Bed {
    fn new() -> Self {
        Self::with_limits(GitLimits::default())
    }

    fn with_limits(limits: GitLimits) -> Self {
        reconcile_core::operator::install_tls();
        let stores = tempfile::tempdir().expect("a folder");
        let woken: Woken = Arc::default();
        let config = HubConfig {
            limits,
            ..config(&stores)
        };
        let metrics = GitMetrics::register(&Registry::new()).expect("metrics");
        let reported = woken.clone();
        let moved = move |app| reported.lock().push(app);
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
        folder_id(&self.hub, &self.url, at, path).await
    }

    /// Names and contents of the files below `path`.
    async fn read(&self, at: &Resolved, path: &str) -> Result<Vec<(String, String)>, RepoError> {
        let tree = self.hub.commit(&self.url, at).await?.tree()?;
        let query = FileQuery {
            recurse: true,
            linked_folders: false,
            max_bytes: 1 << 20,
            wanted: &|_| true,
        };
        let found = tree.files(&tree.folder(path)?, &query)?;
        let text = |content: &[u8]| String::from_utf8_lossy(content).into_owned();
        Ok(found
            .into_iter()
            .map(|file| (file.path, text(&file.content)))
            .collect())
    }
}

async fn folder_id(
    hub: &RepoHub,
    url: &str,
    at: &Resolved,
    path: &str,
) -> Result<String, RepoError> {
    let tree = hub.commit(url, at).await?.tree()?;
    Ok(tree.folder(path)?.node.id)
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
    let follow = Follow {
        url: &bed.url,
        revision: "main",
        tag_prefix: "",
    };
    bed.hub.follow(&app, "default", &[follow]);
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
async fn a_submodule_is_an_error_and_never_an_empty_folder() {
    let bed = Bed::new();
    bed.origin.write("app/a.yaml", "a").commit("1");
    let module = format!("160000,{},app/module", bed.main().await.commit);
    let add = ["update-index", "--add", "--cacheinfo", &module];
    git(bed.origin.folder.path(), &add);
    git(bed.origin.folder.path(), &["commit", "-q", "-m", "module"]);
    let at = bed.main().await;
    for path in ["app", "app/module", "app/module/below"] {
        let error = bed.read(&at, path).await.expect_err("a submodule");
        let text = error.to_string();
        assert!(
            text.contains("app/module is a Git submodule"),
            "{path}: {text}"
        );
        assert!(!error.is_transient());
    }
}

#[tokio::test]
async fn a_path_may_lead_through_a_link() {
    let bed = Bed::new();
    bed.origin.write("real/app/a.yaml", "a");
    let root = bed.origin.folder.path();
    std::os::unix::fs::symlink("real", root.join("alias")).expect("a link");
    std::os::unix::fs::symlink("../../etc", root.join("out")).expect("a link");
    std::os::unix::fs::symlink("loop", root.join("loop")).expect("a link");
    bed.origin.commit("1");
    let at = bed.main().await;
    let files = bed.read(&at, "alias/app").await.expect("files");
    assert_eq!(files.len(), 1);
    let out = bed
        .read(&at, "out/x")
        .await
        .expect_err("a link that leads out");
    assert!(
        out.to_string().contains("outside of the repository"),
        "{out}"
    );
    assert!(bed.read(&at, "loop/x").await.is_err());
}

#[test]
fn versions_and_names_of_refs_are_exact() {
    let names = [
        "refs/tags/1.0",
        "refs/tags/1.0.1",
        "refs/tags/2024.1",
        "refs/tags/2024.1.5",
        "refs/tags/v2.3.0",
        "refs/tags/v2.3.4",
        "refs/tags/v3.0.0",
        "refs/heads/2.3",
        "refs/heads/v3",
    ];
    let refs = RefList {
        head: None,
        refs: names
            .iter()
            .map(|name| ((*name).to_owned(), (*name).to_owned()))
            .collect(),
    };
    for (revision, expected) in [
        ("1.0", Some("refs/tags/1.0")),
        ("2024.1", Some("refs/tags/2024.1")),
        ("2.3", Some("refs/heads/2.3")),
        ("v3", Some("refs/heads/v3")),
        ("v2.3", None),
        ("2.3.*", Some("refs/tags/v2.3.4")),
        (">=3 <4", Some("refs/tags/v3.0.0")),
    ] {
        let found = resolve(&refs, revision, "").ok().map(|at| at.commit);
        assert_eq!(found.as_deref(), expected, "{revision}");
    }
}
