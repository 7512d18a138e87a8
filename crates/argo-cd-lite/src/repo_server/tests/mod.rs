//! The server against a client of its own, over TLS and HTTP/2 as Argo CD's components speak them.

pub(crate) mod client;
mod files;
mod hostile;
mod manifests;
mod tls;
mod uploads;

use std::{sync::Arc, time::Duration};

use reconcile_core::{
    clock::Clock,
    egress::EgressPolicy,
    listen::ListenAddress,
    operator::{Operator, install_tls},
    testkit::FakeApi,
};
use tempfile::TempDir;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{
    RepoServer, RepoServerSettings,
    messages::{ApplicationSource, Repository},
    reach::Repositories,
};
use crate::{
    app::Settings,
    controller,
    repo::{
        Credentials, DEFAULT_DISK_BUDGET, FileRepositories, GitLimits, HubConfig, Trust,
        tests::Origin,
    },
    tls::{Tls, TlsFiles},
};
use client::Client;

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server, and a repository that it can read.
struct Served {
    origin: Origin,
    port: u16,
    tls: bool,
    credentials: Credentials,
    folder: TempDir,
    /// As the server has them.
    repositories: Repositories,
    stop: CancellationToken,
    _operator: Operator,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Served {
    async fn new(tls: bool) -> Self {
        let tls = if tls {
            Tls::On(TlsFiles::default())
        } else {
            Tls::Off
        };
        Self::with(tls).await
    }

    async fn with(tls: Tls) -> Self {
        install_tls();
        let (origin, folder) = (Origin::new(), tempfile::tempdir().expect("a folder"));
        let operator = Operator::detached(FakeApi::new().client(), Clock::system());
        let settings = Settings {
            control_plane: "argocd".into(),
            application_namespaces: Vec::new(),
            metrics_labels: Vec::new(),
            shards: 1,
            take_over: true,
            wave_delay: None,
            repo_grace: Duration::from_secs(180),
            egress: EgressPolicy::AllowLinkLocal,
            cluster_egress: EgressPolicy::AllowLinkLocal,
        };
        let config = HubConfig {
            folder: folder.path().to_owned(),
            disk_budget: DEFAULT_DISK_BUDGET,
            limits: GitLimits::default(),
            file_repositories: FileRepositories::Allow,
            egress: EgressPolicy::AllowLinkLocal,
            trust: Trust::default(),
            poll: Duration::from_secs(3600),
            jitter: Duration::ZERO,
        };
        let (context, credentials) = controller::context(&operator, settings, config.clone());
        let stop = CancellationToken::new();
        let repositories = Repositories {
            context: context.clone(),
            credentials: credentials.clone(),
            config: config.clone(),
            own: Arc::new(Semaphore::new(1)),
            uploads: Arc::new(Semaphore::new(1)),
        };
        let server = RepoServer {
            settings: RepoServerSettings {
                listen: ListenAddress {
                    address: Some([127, 0, 0, 1].into()),
                    port: 0,
                },
                tls: tls.clone(),
            },
            budget: operator.listeners.clone(),
            context,
            credentials: credentials.clone(),
            config,
            stop: stop.clone(),
        };
        let bound = server.bind().await.expect("a port");
        let port = bound.port();
        tokio::spawn(bound.serve());
        Self {
            origin,
            port,
            tls: tls != Tls::Off,
            credentials,
            folder,
            repositories,
            stop,
            _operator: operator,
        }
    }

    async fn client(&self) -> Client {
        soon("a connection", Client::connect(self.port, self.tls)).await
    }

    fn repository(&self) -> Repository {
        Repository {
            repo: self.origin.url(),
            ..Repository::default()
        }
    }

    /// Stores that are kept for all callers.
    fn stores(&self) -> usize {
        let folders = std::fs::read_dir(self.folder.path()).expect("the folder");
        let paths = folders.filter_map(|entry| Some(entry.ok()?.path()));
        let is_store = |path: &std::path::Path| path.extension().is_some_and(|kind| kind == "git");
        paths.filter(|path| is_store(path)).count()
    }

    fn source(&self, path: &str) -> ApplicationSource {
        ApplicationSource {
            repo_url: self.origin.url(),
            path: path.to_owned(),
            target_revision: "main".to_owned(),
            ..ApplicationSource::default()
        }
    }
}

/// Ends with the future, or fails.
async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("not in time: {what}"))
}
