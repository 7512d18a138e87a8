//! Charts from real servers on this machine.

mod hostile;
mod oci;
pub(crate) mod server;
mod tls;

use std::{path::Path, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::ByteString;
use prometheus::Registry;
use reconcile_core::clock::Clock;

use super::*;
use crate::{
    metrics::GitMetrics,
    repo::{DEFAULT_DISK_BUDGET, FileRepositories, GitLimits, HubConfig, RepositorySecret},
};
use server::{Page, Server, chart, index, sha256};

/// A hub with Secrets, over a folder that a restart keeps.
pub(crate) struct Bed {
    pub(crate) hub: ChartHub,
    pub(crate) credentials: Credentials,
    pub(super) woken: Arc<Mutex<Vec<ObjectKey>>>,
}

pub(super) const REFUSE: EgressPolicy = EgressPolicy::RefuseLinkLocal {
    flag: "--repositories-allow-link-local",
};

impl Bed {
    pub(crate) fn new(folder: &Path, trust: Trust) -> Self {
        reconcile_core::operator::install_tls();
        let credentials = Credentials::default();
        let repos = RepoHub::new(
            HubConfig {
                folder: folder.join("git"),
                disk_budget: DEFAULT_DISK_BUDGET,
                limits: GitLimits::default(),
                file_repositories: FileRepositories::Allow,
                egress: reconcile_core::egress::EgressPolicy::AllowLinkLocal,
                trust: Trust::default(),
                poll: Duration::from_millis(1),
                jitter: Duration::ZERO,
            },
            credentials.clone(),
            Clock::system(),
            GitMetrics::register(&Registry::new()).expect("metrics"),
            drop,
        );
        let config = ChartConfig {
            folder: folder.join("charts"),
            budget: 1 << 30,
            egress: REFUSE,
            trust,
        };
        let woken: Arc<Mutex<Vec<ObjectKey>>> = Arc::default();
        let reported = woken.clone();
        let moved = move |app| reported.lock().push(app);
        Self {
            hub: ChartHub::new(config, repos, credentials.clone(), moved),
            credentials,
            woken,
        }
    }

    /// Takes a repository Secret with these members.
    pub(crate) fn secret(&self, kind: &str, members: &[(&str, &str)]) -> &Self {
        let labels = [("argocd.argoproj.io/secret-type".to_owned(), kind.to_owned())];
        let data = members
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        let secret = RepositorySecret::read(&labels.into(), &data.collect());
        assert!(secret.is_some(), "a repository Secret");
        self.credentials.set(members[0].1, secret);
        self
    }

    /// The version that is found, and the values of its chart.
    pub(super) async fn values(&self, chart: &ChartRef<'_>) -> Result<(String, String), String> {
        self.open(chart, OpenChart::default()).await
    }

    pub(super) async fn open(
        &self,
        chart: &ChartRef<'_>,
        how: OpenChart,
    ) -> Result<(String, String), String> {
        let found = self.hub.find(chart, None).await;
        let version = found.map_err(|error| error.to_string())?.version;
        let exact = ChartRef {
            revision: &version,
            ..*chart
        };
        let opened = self.hub.open(&exact, how).await;
        let tree = opened.map_err(|error| error.to_string())?.tree();
        let values = tree.file("values.yaml", 1 << 20).expect("values");
        let values = String::from_utf8(values.expect("a file")).expect("text");
        Ok((version, values))
    }
}

pub(super) fn web<'a>(url: &'a str, revision: &'a str) -> ChartRef<'a> {
    ChartRef {
        url,
        chart: "web",
        revision,
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A repository with two versions of the chart `web`.
async fn repository() -> Server {
    let server = Server::start().await;
    let (old, new) = (chart("web", "1.0.0", "old"), chart("web", "1.1.0", "new"));
    let text = index(&[
        ("1.1.0", "web-1.1.0.tgz", &sha256(&new)),
        ("1.0.0", "charts/web-1.0.0.tgz", ""),
    ]);
    server
        .put("/stable/index.yaml", Page::of(text))
        .put("/stable/web-1.1.0.tgz", Page::of(new))
        .put("/stable/charts/web-1.0.0.tgz", Page::of(old));
    server
}

#[tokio::test]
async fn a_chart_is_downloaded_once_and_its_index_by_etag() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = repository().await;
    let url = format!("{}/stable", server.url());
    let bed = Bed::new(folder.path(), Trust::default());
    let of = |revision: &'static str| web(&url, revision);
    for (revision, version, values) in [
        ("1.0.0", "1.0.0", "old"),
        ("^1.0.0", "1.1.0", "new"),
        ("1.1.0", "1.1.0", "new"),
        ("1.1", "1.1.0", "new"),
    ] {
        let found = bed.values(&of(revision)).await.expect(revision);
        assert_eq!(found, (version.to_owned(), values.to_owned()), "{revision}");
    }
    let now = Clock::system().now();
    bed.hub.find(&of("*"), Some(now)).await.expect("a version");
    assert_eq!(server.count("/stable/index.yaml", 200), 1);
    assert_eq!(server.count("/stable/index.yaml", 304), 1);
    let error = bed.values(&of("2.x")).await.expect_err("no version");
    assert!(error.contains("no version that matches \"2.x\""), "{error}");
    // A new process knows the versions that it had, and asks for the index by its ETag.
    let asked = server.asked().len();
    let bed = Bed::new(folder.path(), Trust::default());
    bed.values(&of("1.1.0")).await.expect("a chart on disk");
    assert_eq!(server.asked().len(), asked, "nothing is downloaded");
    bed.values(&of("*")).await.expect("a chart");
    assert_eq!(server.count("/stable/index.yaml", 304), 2);
    assert_eq!(server.count("/stable/web-1.1.0.tgz", 200), 1);
    // A hard refresh trusts nothing.
    let hard = OpenChart {
        hard: true,
        ..OpenChart::default()
    };
    bed.open(&of("1.1.0"), hard).await.expect("a chart");
    assert_eq!(server.count("/stable/web-1.1.0.tgz", 200), 2);
}

#[tokio::test]
async fn a_new_version_wakes_the_applications_that_follow_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = repository().await;
    let url = format!("{}/stable", server.url());
    let bed = Bed::new(folder.path(), Trust::default());
    let key = |name: &str| ObjectKey::new("argocd", name);
    for (app, revision) in [("moves", "1.x"), ("exact", "1.0.0"), ("waits", "1.3.0")] {
        bed.hub.follow(&key(app), &[web(&url, revision)]);
    }
    bed.values(&web(&url, "1.x")).await.expect("a chart");
    let text = index(&[("1.3.0", "x.tgz", ""), ("1.0.0", "y.tgz", "")]);
    server.put("/stable/index.yaml", Page::of(text));
    let poll = bed.hub.clone();
    let poll = tokio::spawn(async move { poll.poll().await });
    let both = async {
        while bed.woken.lock().len() < 2 {
            tokio::task::yield_now().await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), both).await;
    in_time.expect("two applications are woken");
    let mut woken = bed.woken.lock().clone();
    woken.sort();
    assert_eq!(woken, [key("moves"), key("waits")]);
    poll.abort();
}

#[tokio::test]
async fn credentials_stay_with_the_server_of_the_repository() {
    let folder = tempfile::tempdir().expect("a folder");
    let (home, other) = (repository().await, Server::start().await);
    let login = basic("user", "secret");
    let far = chart("web", "2.0.0", "far");
    other.put("/web.tgz", Page::of(far));
    let text = index(&[
        ("2.0.0", &format!("{}/web.tgz", other.url()), ""),
        ("3.0.0", "redirected.tgz", ""),
    ]);
    let private = |page: Page| Page {
        authorization: Some(login.clone()),
        ..page
    };
    home.put("/private/index.yaml", private(Page::of(text)))
        .put(
            "/private/redirected.tgz",
            private(Page::moved(&format!("{}/web.tgz", other.url()))),
        );
    let url = format!("{}/private", home.url());
    let bed = Bed::new(folder.path(), Trust::default());
    let denied = bed
        .values(&web(&url, "2.0.0"))
        .await
        .expect_err("no access");
    assert!(denied.contains("denies access (HTTP 401)"), "{denied}");
    let members = [
        ("url", url.as_str()),
        ("type", "helm"),
        ("username", "user"),
        ("password", "secret"),
    ];
    bed.secret("repository", &members);
    // The failure before is not repeated for a few seconds; a hard refresh asks at once.
    let hard = OpenChart {
        hard: true,
        ..OpenChart::default()
    };
    for version in ["2.0.0", "3.0.0"] {
        bed.open(&web(&url, version), hard).await.expect(version);
    }
    let seen = |asked: &Server| {
        let all = asked.asked().into_iter();
        all.filter_map(|one| one.authorization).collect::<Vec<_>>()
    };
    assert_eq!(seen(&other), Vec::<String>::new());
    assert!(seen(&home).iter().all(|sent| *sent == login));
    let pass = OpenChart {
        pass_credentials: true,
        hard: true,
    };
    bed.open(&web(&url, "2.0.0"), pass).await.expect("a chart");
    assert_eq!(seen(&other), [login]);
}

#[test]
fn secrets_are_for_repositories_of_their_kind() {
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::new(folder.path(), Trust::default());
    let found = |kind, url| {
        let secret = bed.credentials.find_kind(kind, url);
        secret.map(|secret| secret.credential.username)
    };
    bed.secret(
        "repository",
        &[
            ("url", "https://h.example.com/charts"),
            ("type", "helm"),
            ("username", "own"),
            ("password", "p"),
        ],
    )
    .secret(
        "repo-creds",
        &[
            ("url", "h.example.com/oci"),
            ("type", "helm"),
            ("enableOCI", "true"),
            ("username", "registry"),
            ("password", "p"),
        ],
    )
    .secret(
        "repo-creds",
        &[
            ("url", "https://h.example.com"),
            ("username", "git"),
            ("password", "p"),
        ],
    );
    let (helm, oci) = (RepositoryKind::Helm, RepositoryKind::Oci);
    let of = |name: &str| Some(name.to_owned());
    assert_eq!(found(helm, "https://h.example.com/charts/"), of("own"));
    assert_eq!(found(helm, "https://h.example.com/other"), None);
    assert_eq!(found(helm, "http://h.example.com/charts"), None);
    assert_eq!(found(oci, "oci://h.example.com/oci/team"), of("registry"));
    assert_eq!(found(oci, "h.example.com/oci-other"), None);
    assert_eq!(found(oci, "h.example.com:5000/oci"), None);
    assert_eq!(
        found(RepositoryKind::Git, "https://h.example.com/charts"),
        of("git")
    );
    bed.secret(
        "repository",
        &[
            ("url", "https://h.example.com/charts"),
            ("type", "helm"),
            ("gcpServiceAccountKey", "{}"),
        ],
    );
    let secret = bed
        .credentials
        .find_kind(helm, "https://h.example.com/charts");
    let error = secret
        .expect("a Secret")
        .usable()
        .expect_err("not supported");
    assert!(
        error.to_string().contains("gcpServiceAccountKey"),
        "{error}"
    );
}

#[tokio::test]
async fn a_repository_is_reached_through_its_proxy() {
    let server = Server::start().await;
    let text = index(&[("1.0.0", "web.tgz", "")]);
    server
        .put("http://charts.invalid/index.yaml", Page::of(text.clone()))
        .put(
            "http://charts.invalid/web.tgz",
            Page::of(chart("web", "1.0.0", "far")),
        )
        .put("/index.yaml", Page::of(text))
        .put("/web.tgz", Page::of(chart("web", "1.0.0", "near")));
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::new(folder.path(), Trust::default());
    let (proxy, direct) = (server.url(), server.url());
    let url = "http://charts.invalid";
    bed.secret(
        "repository",
        &[("url", url), ("type", "helm"), ("proxy", &proxy)],
    );
    let found = bed.values(&web(url, "1.0.0")).await;
    assert_eq!(found.expect("a chart").1, "far");
    // Git goes through it, too; there is no repository behind it.
    let git = "http://git.invalid/a.git";
    bed.secret("repository", &[("url", git), ("proxy", &proxy)]);
    let refs = bed.hub.repositories().refs(git, None).await;
    assert!(refs.is_err());
    let asked = server.asked();
    let through = |one: &server::Asked| one.path.starts_with("http://git.invalid/a.git/info/refs");
    assert!(asked.iter().any(through), "{asked:?}");
    // A closed port, which no host of the list is reached through.
    let members = [
        ("url", direct.as_str()),
        ("type", "helm"),
        ("proxy", "http://127.0.0.1:9"),
        ("noProxy", "example.com,127.0.0.1"),
    ];
    bed.secret("repository", &members);
    let found = bed.values(&web(&direct, "1.0.0")).await;
    assert_eq!(found.expect("a chart").1, "near");
    let members = [
        ("url", "https://other.invalid"),
        ("type", "helm"),
        ("proxy", "socks5://user:secret@127.0.0.1:9"),
    ];
    bed.secret("repository", &members);
    let error = bed.values(&web("https://other.invalid", "1.0.0")).await;
    let error = error.expect_err("no such proxy");
    assert!(
        error.contains("is no URL of an http or https proxy"),
        "{error}"
    );
    assert!(!error.contains("secret"), "{error}");
}
