//! The repositories of one call: those of the controller where the call brings the credentials that the controller
//! has, too; otherwise stores of its own, which go with the call. What its sources name in turn follows the same rule,
//! repository by repository.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use prometheus::Registry;
use reconcile_core::clock::Clock;
use tempfile::TempDir;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::{
    error::CallError,
    messages::{RepoCreds, Repository},
};
use crate::{
    api::ApplicationSource,
    app::Context,
    metrics::GitMetrics,
    render::{Files, Logins, OpenSource},
    repo::{
        ChartConfig, ChartHub, ChartRef, Commit, Credentials, HubConfig, OpenChart, RepoHub,
        RepositoryKind, RepositorySecret, Resolved, is_packed, normalize,
    },
};

/// Bytes on disk of a call with credentials of its own.
const CALL_DISK: u64 = 512 << 20;
/// Calls that have stores of their own at the same time.
pub(super) const OWN: usize = 4;
/// Calls that bring files at the same time.
pub(super) const UPLOADS: usize = 4;
/// Refs of this age do where a caller does not ask for new ones.
const RECENT: SignedDuration = SignedDuration::from_secs(180);

/// How old the refs of a repository may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// Some minutes.
    Recent,
    /// As of now.
    New,
}

impl Age {
    /// From the flag of a request.
    pub(super) fn of(no_revision_cache: bool) -> Self {
        if no_revision_cache {
            Self::New
        } else {
            Self::Recent
        }
    }
}

/// What all calls share.
#[derive(Clone)]
pub(super) struct Repositories {
    pub(super) context: Context,
    pub(super) credentials: Credentials,
    /// How stores of single calls are made; the folder is that of all stores.
    pub(super) config: HubConfig,
    /// Calls that have stores of their own.
    pub(super) own: Arc<Semaphore>,
    /// Calls that have received files, or are receiving some.
    pub(super) uploads: Arc<Semaphore>,
}

/// Credentials that a call brings for what its sources name in turn.
#[derive(Clone, Copy, Default)]
pub(super) struct Offered<'a> {
    pub(super) repos: &'a [Repository],
    pub(super) templates: &'a [RepoCreds],
}

/// The repositories of one call.
pub(super) struct Reach {
    pub(super) hub: RepoHub,
    pub(super) charts: ChartHub,
    /// Whose credentials open what the sources name in turn: charts that charts depend on, remote bases.
    pub(super) logins: Logins,
    clock: Clock,
    /// Files of the call, and its right to have some.
    _own: Option<(TempDir, OwnedSemaphorePermit)>,
}

impl Repositories {
    /// The repositories of a call that opens `repos`, and may open what `offered` has the credentials for.
    pub(super) async fn reach(
        &self,
        repos: &[&Repository],
        offered: Offered<'_>,
    ) -> Result<Reach, CallError> {
        let mut secrets = Vec::new();
        let mut known = true;
        for repo in repos {
            let secret = repo.secret().ok_or_else(|| {
                CallError::Invalid(format!(
                    "type {:?} of repo is none of git, helm, oci",
                    repo.type_
                ))
            })?;
            // An answer from the controller's own stores would hide that these credentials cannot be used.
            secret.clone().usable()?;
            known &= self.has(&repo.repo, &secret);
            secrets.push(secret);
        }
        for repo in offered.repos {
            let secret = repo.secret();
            known &= secret
                .as_ref()
                .is_none_or(|secret| self.has(&repo.repo, secret));
            secrets.extend(secret);
        }
        secrets.extend(offered.templates.iter().filter_map(RepoCreds::secret));
        let given = Credentials::default();
        for (number, secret) in secrets.into_iter().enumerate() {
            given.set(&number.to_string(), Some(secret));
        }
        let mut templates = offered.templates.iter();
        known &= templates.all(|template| self.credentials.agrees_with(&given, &template.url));
        if !known {
            return self.own(&given).await;
        }
        let context = &self.context;
        Ok(Reach {
            hub: context.repos.clone(),
            charts: context.charts.clone(),
            logins: Logins::Shared {
                controller: self.credentials.clone(),
                caller: given,
            },
            clock: context.clock.clone(),
            _own: None,
        })
    }

    /// Whether the controller logs in to a repository in the same way. The type is the caller's word, so no other
    /// credentials may be known for the URL under another type either.
    fn has(&self, url: &str, given: &RepositorySecret) -> bool {
        let kinds = [
            RepositoryKind::Git,
            RepositoryKind::Helm,
            RepositoryKind::Oci,
        ];
        kinds.into_iter().all(|kind| {
            let known = self.credentials.find_kind(kind, url);
            if known.is_none() && kind != given.kind {
                return true;
            }
            known.map(|known| known.credential).unwrap_or_default() == given.credential
        })
    }

    async fn own(&self, given: &Credentials) -> Result<Reach, CallError> {
        let permit = self.own.clone().acquire_owned().await;
        let permit = permit.map_err(|error| std::io::Error::other(error.to_string()))?;
        let calls = calls(&self.config.folder);
        std::fs::create_dir_all(&calls)?;
        let folder = tempfile::tempdir_in(&calls)?;
        let config = HubConfig {
            folder: folder.path().join("stores"),
            disk_budget: CALL_DISK,
            poll: Duration::ZERO,
            jitter: Duration::ZERO,
            ..self.config.clone()
        };
        let charts = ChartConfig {
            folder: folder.path().join("charts"),
            budget: CALL_DISK,
            egress: config.egress,
            trust: config.trust.clone(),
        };
        let metrics = GitMetrics::register(&Registry::new());
        let metrics = metrics.map_err(|error| std::io::Error::other(error.to_string()))?;
        let clock = self.context.clock.clone();
        let hub = RepoHub::new(config, given.clone(), clock.clone(), metrics, |_| {});
        let charts = ChartHub::new(charts, hub.clone(), given.clone(), |_| {});
        Ok(Reach {
            hub,
            charts,
            logins: Logins::Call(Uuid::new_v4()),
            clock,
            _own: Some((folder, permit)),
        })
    }
}

impl Reach {
    /// The time from which on refs count as new enough.
    pub(super) fn since(&self, age: Age) -> Timestamp {
        let now = self.clock.now();
        match age {
            Age::Recent => now.saturating_sub(RECENT).unwrap_or(now),
            Age::New => now,
        }
    }

    /// The commit that a revision means.
    pub(super) async fn resolve(
        &self,
        url: &str,
        revision: &str,
        tag_prefix: &str,
        age: Age,
    ) -> Result<Resolved, CallError> {
        if let Some(at) = Resolved::of_commit_id(revision) {
            return Ok(at);
        }
        let listed = self.hub.refs(url, Some(self.since(age))).await?;
        let resolve = self.hub.resolve(url, &listed.refs, revision, tag_prefix);
        Ok(resolve.await?)
    }

    /// A commit with its files.
    pub(super) async fn commit(
        &self,
        url: &str,
        revision: &str,
        age: Age,
    ) -> Result<Commit, CallError> {
        let at = self.resolve(url, revision, "", age).await?;
        Ok(self.hub.commit(url, &at).await?)
    }

    /// A source with its files.
    pub(super) async fn open(
        &self,
        source: &ApplicationSource,
        revision: &str,
        age: Age,
    ) -> Result<OpenSource, CallError> {
        let revision = if revision.is_empty() {
            source.target_revision.as_str()
        } else {
            revision
        };
        let url = source.repo_url.as_str();
        if is_packed(source) {
            let chart = ChartRef {
                url,
                chart: &source.chart,
                revision,
            };
            let version = self.charts.find(&chart, None).await?.version;
            let exact = ChartRef {
                revision: &version,
                ..chart
            };
            let how = OpenChart {
                pass_credentials: source
                    .helm
                    .as_ref()
                    .is_some_and(|helm| helm.pass_credentials),
                hard: false,
            };
            let archive = self.charts.open(&exact, how).await?;
            return Ok(OpenSource {
                source: source.unpacked(),
                files: Files::Archive(archive),
                revision: version,
            });
        }
        let at = self.resolve(url, revision, &source.tag_prefix, age).await?;
        let commit = self.hub.commit(url, &at).await?;
        let commit = self.hub.with_large_files(url, commit);
        Ok(OpenSource {
            source: source.clone(),
            files: Files::Commit(commit),
            revision: at.commit,
        })
    }
}

/// Where the stores of single calls are, in the folder of all stores.
pub(super) fn calls(folder: &Path) -> PathBuf {
    folder.join("calls")
}

/// The members of a Secret that stands for what a caller has sent.
#[derive(Default)]
struct Members(BTreeMap<String, ByteString>);

impl Members {
    fn text(mut self, name: &str, text: &str) -> Self {
        if !text.is_empty() {
            self.0
                .insert(name.to_owned(), ByteString(text.as_bytes().to_vec()));
        }
        self
    }

    fn flag(self, name: &str, flag: bool) -> Self {
        self.text(name, if flag { "true" } else { "" })
    }

    fn number(self, name: &str, number: i64) -> Self {
        if number == 0 {
            return self;
        }
        self.text(name, &number.to_string())
    }

    fn read(self, kind: &str) -> Option<RepositorySecret> {
        let label = "argocd.argoproj.io/secret-type".to_owned();
        RepositorySecret::read(&BTreeMap::from([(label, kind.to_owned())]), &self.0)
    }
}

impl Repository {
    /// The Secret that it could have been read from.
    pub(super) fn secret(&self) -> Option<RepositorySecret> {
        Members::default()
            .text("url", &self.repo)
            .text("type", &self.type_)
            .text("username", &self.username)
            .text("password", &self.password)
            .text("bearerToken", &self.bearer_token)
            .text("sshPrivateKey", &self.ssh_private_key)
            .text("tlsClientCertData", &self.tls_client_cert_data)
            .text("tlsClientCertKey", &self.tls_client_cert_key)
            .text("githubAppPrivateKey", &self.github_app_private_key)
            .text("gcpServiceAccountKey", &self.gcp_service_account_key)
            .text(
                "azureServicePrincipalClientId",
                &self.azure_service_principal_client_id,
            )
            .text("proxy", &self.proxy)
            .number("githubAppID", self.github_app_id)
            .number("githubAppInstallationID", self.github_app_installation_id)
            .text(
                "githubAppEnterpriseBaseUrl",
                &self.github_app_enterprise_base_url,
            )
            .text("noProxy", &self.no_proxy)
            .flag("insecure", self.insecure || self.insecure_ignore_host_key)
            .flag("enableLfs", self.enable_lfs)
            .flag("enableOCI", self.enable_oci)
            .flag("insecureOCIForceHttp", self.insecure_oci_force_http)
            .flag("useAzureWorkloadIdentity", self.use_azure_workload_identity)
            .read("repository")
    }

    /// What the repository holds.
    pub(super) fn kind(&self) -> RepositoryKind {
        self.secret().map(|secret| secret.kind).unwrap_or_default()
    }
}

impl RepoCreds {
    pub(super) fn secret(&self) -> Option<RepositorySecret> {
        Members::default()
            .text("url", &self.url)
            .text("type", &self.type_)
            .text("username", &self.username)
            .text("password", &self.password)
            .text("bearerToken", &self.bearer_token)
            .text("sshPrivateKey", &self.ssh_private_key)
            .text("tlsClientCertData", &self.tls_client_cert_data)
            .text("tlsClientCertKey", &self.tls_client_cert_key)
            .text("githubAppPrivateKey", &self.github_app_private_key)
            .text("gcpServiceAccountKey", &self.gcp_service_account_key)
            .text(
                "azureServicePrincipalClientId",
                &self.azure_service_principal_client_id,
            )
            .text("proxy", &self.proxy)
            .number("githubAppID", self.github_app_id)
            .flag("enableOCI", self.enable_oci)
            .flag("insecureOCIForceHttp", self.insecure_oci_force_http)
            .flag("useAzureWorkloadIdentity", self.use_azure_workload_identity)
            .read("repo-creds")
    }
}

/// Refuses a source from another repository than the one whose credentials were sent.
pub(super) fn check_same(repo: &Repository, source: &ApplicationSource) -> Result<(), CallError> {
    if normalize(&repo.repo) == normalize(&source.repo_url) {
        return Ok(());
    }
    Err(CallError::Invalid(
        "repo and the repoURL of the source are different repositories".to_owned(),
    ))
}
