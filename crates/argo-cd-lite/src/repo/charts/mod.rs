//! Charts of Helm repositories and OCI registries.
//!
//! ```text
//!   repository + chart + constraint ──► index.yaml or tags (kept by ETag, polled) ──► version
//!   version ──► archive (bounded, digest checked, kept on disk) ──► tree
//! ```
//!
//! Credentials go to the server of the repository only, and nothing of an archive is written out.

mod archive;
mod catalog;
mod download;
mod error;
mod fetch;
mod index;
mod manifest;
mod oci;
mod place;
mod poll;
mod store;
#[cfg(test)]
pub(crate) mod tests;

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use reconcile_core::{credentials::redact_url, egress::EgressPolicy, object::ObjectKey};

use super::{
    Credentials, RepoHub, RepositoryKind,
    listing::{FAILING_POLL, later},
    trust::Trust,
};
use catalog::{Catalog, Followed, Listed};
use download::Downloads;
use oci::ArtifactContent;
use place::Place;
use store::ArchiveStore;

pub(crate) use archive::MAX_ARCHIVE_BYTES;
pub use archive::{Archive, ArchiveFile, Layout};
pub use error::ChartError;
pub use index::{ChartIndex, ChartVersion};
pub use manifest::Manifest;
pub use place::{chart_repository, is_packed, packed_problem};

/// Versions that were listed longer ago than this are listed again before a version is called missing.
const MISSING_AFTER: SignedDuration = SignedDuration::from_secs(5);

type Moved = dyn Fn(ObjectKey) + Send + Sync;

/// Where archives are kept and what may be called.
#[derive(Clone, Debug)]
pub struct ChartConfig {
    /// Folder of the archives.
    pub folder: PathBuf,
    /// Bytes that they may have together.
    pub budget: u64,
    /// Addresses that may be called.
    pub egress: EgressPolicy,
    /// Certificates of servers.
    pub trust: Trust,
}

/// A chart and the versions of it that are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChartRef<'a> {
    /// URL of the repository.
    pub url: &'a str,
    /// Name of the chart; empty for an artifact of a registry, whose files are a source.
    pub chart: &'a str,
    /// A version or a constraint; of an artifact a tag or digest, too.
    pub revision: &'a str,
}

impl ChartRef<'_> {
    fn place(&self) -> Result<Place, ChartError> {
        if self.chart.is_empty() {
            Place::of_artifact(self.url)
        } else {
            Place::of(self.url, self.chart)
        }
    }
}

/// The version that a revision means.
#[derive(Clone, Debug)]
pub struct FoundChart {
    /// The version as the repository spells it; of an artifact the digest of its manifest.
    pub version: String,
    /// Listing versions has failed since then; the version is the one that was known before.
    pub failing: Option<(ChartError, Timestamp)>,
}

/// How a chart is opened.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenChart {
    /// Send the credentials to every server that the repository names.
    pub pass_credentials: bool,
    /// Take no archive that was kept.
    pub hard: bool,
}

/// All chart repositories in use. Cloning shares them.
#[derive(Clone)]
pub struct ChartHub(Arc<Inner>);

struct Inner {
    repos: RepoHub,
    credentials: Credentials,
    downloads: Downloads,
    store: ArchiveStore,
    catalogs: Mutex<HashMap<String, Arc<Catalog>>>,
    moved: Box<Moved>,
}

impl ChartHub {
    /// A hub that calls `moved` for each application whose revision means another version than before. Threads, clock
    /// and poll times are those of `repos`.
    pub fn new(
        config: ChartConfig,
        repos: RepoHub,
        credentials: Credentials,
        moved: impl Fn(ObjectKey) + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Inner {
            repos,
            credentials,
            downloads: Downloads::new(config.egress, config.trust),
            store: ArchiveStore::new(config.folder, config.budget),
            catalogs: Mutex::default(),
            moved: Box::new(moved),
        }))
    }

    fn catalog(&self, place: Place) -> Arc<Catalog> {
        let now = self.0.repos.clock().now();
        let mut catalogs = self.0.catalogs.lock();
        let catalog = catalogs
            .entry(place.key())
            .or_insert_with(|| {
                let due = later(now, self.0.repos.interval());
                Arc::new(Catalog::new(place, due, now))
            })
            .clone();
        *catalog.used.lock() = now;
        catalog
    }

    /// Notes the charts that `app` follows, so that a poll can wake it; it then follows no other.
    pub fn follow(&self, app: &ObjectKey, charts: &[ChartRef<'_>]) {
        let mut wanted: HashMap<String, Vec<Followed>> = HashMap::new();
        for chart in charts {
            let Ok(place) = chart.place() else {
                continue;
            };
            let catalog = self.catalog(place);
            wanted
                .entry(catalog.place.key())
                .or_default()
                .push(Followed {
                    chart: chart.chart.to_owned(),
                    revision: chart.revision.to_owned(),
                });
        }
        for (key, catalog) in self.0.catalogs.lock().iter() {
            let mut followers = catalog.followers.lock();
            match wanted.remove(key) {
                Some(followed) => drop(followers.insert(app.clone(), followed)),
                None => drop(followers.remove(app)),
            }
        }
    }

    /// `app` follows nothing any more.
    pub fn forget(&self, app: &ObjectKey) {
        self.follow(app, &[]);
    }

    /// The version that a revision means. Versions that were listed before `fresh` are listed again.
    pub async fn find(
        &self,
        chart: &ChartRef<'_>,
        fresh: Option<Timestamp>,
    ) -> Result<FoundChart, ChartError> {
        let catalog = self.catalog(chart.place()?);
        let revision = chart.revision.trim();
        if catalog.place.is_artifact() {
            let version = self.find_artifact(&catalog, revision, fresh).await?;
            return Ok(FoundChart {
                version,
                failing: None,
            });
        }
        if !index::moves(revision) && fresh.is_none() {
            // Like upstream: a version is what it says, and opening it tells whether it exists.
            return Ok(FoundChart {
                version: revision.to_owned(),
                failing: None,
            });
        }
        let (listed, version) = self.select(&catalog, chart.chart, revision, fresh).await?;
        Ok(FoundChart {
            version: version.version,
            failing: listed.failing,
        })
    }

    /// The charts of a Helm repository; `now` asks the server now.
    pub async fn index(&self, url: &str, now: bool) -> Result<Arc<ChartIndex>, ChartError> {
        // A repository with an index has one list for all charts.
        let catalog = self.catalog(Place::of(url, "any")?);
        self.versions(&catalog, now).await
    }

    /// The tags of a repository of a registry; `now` asks the server now.
    pub async fn tags(&self, url: &str, now: bool) -> Result<Vec<String>, ChartError> {
        let catalog = self.catalog(Place::of_artifact(url)?);
        let index = self.versions(&catalog, now).await?;
        let tags = index.charts().flat_map(|(_, tags)| tags.map(str::to_owned));
        Ok(tags.collect())
    }

    async fn versions(
        &self,
        catalog: &Arc<Catalog>,
        now: bool,
    ) -> Result<Arc<ChartIndex>, ChartError> {
        let fresh = now.then(|| self.0.repos.clock().now());
        let listed = self.list(catalog, fresh).await?;
        match listed.failing {
            Some((error, _)) if now => Err(error),
            _ => Ok(listed.value.index),
        }
    }

    /// The archive of a version of a chart.
    pub async fn open(
        &self,
        chart: &ChartRef<'_>,
        how: OpenChart,
    ) -> Result<ArchiveFile, ChartError> {
        let catalog = self.catalog(chart.place()?);
        let key = format!("{} {} {}", catalog.place.key(), chart.chart, chart.revision);
        if !how.hard
            && let Some(kept) = self.kept(&key).await?
        {
            return Ok(kept);
        }
        let fresh = how.hard.then(|| self.0.repos.clock().now());
        let version = if catalog.place.is_artifact() {
            ChartVersion {
                version: chart.revision.to_owned(),
                ..ChartVersion::default()
            }
        } else {
            let select = self.select(&catalog, chart.chart, chart.revision, fresh);
            select.await?.1
        };
        let turn = catalog.turn().await?;
        // Whoever had the turn before may have done the work.
        if !how.hard
            && let Some(kept) = self.kept(&key).await?
        {
            return Ok(kept);
        }
        let credential = self.credential(&catalog.place)?;
        let (content, layout) = if catalog.place.kind == RepositoryKind::Oci {
            let url = catalog.place.oci_repository();
            let wanted = if catalog.place.is_artifact() {
                ArtifactContent::Files
            } else {
                ArtifactContent::Chart
            };
            self.oci_archive(&url, credential.as_ref(), &version.version, wanted)
                .await?
        } else {
            let login = (credential.as_ref(), how.pass_credentials);
            let chart = self.helm_chart(&catalog.place, login, chart.chart, &version);
            (chart.await?, Layout::Chart)
        };
        drop(turn);
        let store = self.0.store.clone();
        tracing::debug!(repository = %redact_url(chart.url), chart = chart.chart, version = version.version, "downloaded a chart");
        self.0
            .repos
            .read(move |_| {
                Archive::read(&content, layout)?;
                store.put(&key, &content, layout)
            })
            .await?
    }

    async fn kept(&self, key: &str) -> Result<Option<ArchiveFile>, ChartError> {
        let (store, key) = (self.0.store.clone(), key.to_owned());
        let kept = self.0.repos.read(move |_| store.get(&key));
        Ok(kept.await?)
    }

    /// The version that a revision means, from versions that are listed again when it is not among them.
    async fn select(
        &self,
        catalog: &Arc<Catalog>,
        chart: &str,
        revision: &str,
        fresh: Option<Timestamp>,
    ) -> Result<(Listed, ChartVersion), ChartError> {
        let mut listed = self.list(catalog, fresh).await?;
        let now = self.0.repos.clock().now();
        let is_old = now.duration_since(listed.asked) > MISSING_AFTER;
        if listed.value.index.select(chart, revision).is_err() && is_old {
            listed = self.list(catalog, Some(now)).await?;
        }
        let version = listed.value.index.select(chart, revision)?.clone();
        Ok((listed, version))
    }

    /// The versions of a repository.
    async fn list(
        &self,
        catalog: &Arc<Catalog>,
        fresh: Option<Timestamp>,
    ) -> Result<Listed, ChartError> {
        let clock = self.0.repos.clock();
        if let Some(known) = catalog.known(fresh, clock.now()) {
            return known;
        }
        let turn = catalog.turn().await?;
        if let Some(known) = catalog.known(fresh, clock.now()) {
            return known;
        }
        let asked = clock.now();
        let listed = match catalog.place.kind {
            RepositoryKind::Oci => self.list_tags(&catalog.place).await,
            _ => self.download_index(catalog).await,
        };
        let moved = match listed {
            Ok((index, etag)) => catalog.listed(&index, etag, asked),
            Err(error) => {
                let repository = redact_url(&catalog.place.url);
                tracing::warn!(%repository, %error, "cannot list the versions of charts");
                catalog.failed(error, asked);
                *catalog.due.lock() = later(asked, FAILING_POLL);
                Vec::new()
            }
        };
        drop(turn);
        for app in moved {
            (self.0.moved)(app);
        }
        let never = || {
            Err(ChartError::Unreachable {
                host: catalog.place.url.clone(),
                reason: "no versions are listed yet".to_owned(),
            })
        };
        catalog.snapshot().unwrap_or_else(never)
    }
}
