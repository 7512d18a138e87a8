//! What is downloaded of a repository: its versions, and the archives of charts.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use reconcile_core::{credentials::redact_url, object::ObjectKey};
use reqwest::Url;
use sha2::{Digest, Sha256};

use super::{
    ChartError, ChartHub,
    archive::{Layout, MAX_ARCHIVE_BYTES},
    catalog::Catalog,
    download::{Download, Login},
    index::{ChartIndex, ChartVersion, MAX_INDEX_BYTES},
    oci::{ArtifactContent, OciRepository},
    place::Place,
    store::KeptIndex,
};
use crate::repo::{Credential, RepoHub, semver::Constraint};

impl ChartHub {
    pub(super) async fn list_tags(
        &self,
        place: &Place,
    ) -> Result<(Arc<ChartIndex>, String), ChartError> {
        let credential = self.credential(place)?;
        let url = place.oci_repository();
        let repository = OciRepository::new(&self.0.downloads, &url, credential.as_ref())?;
        let tags = repository.tags().await?;
        // A tag cannot have the plus sign of a version.
        let versions = tags.into_iter().map(|tag| tag.replace('_', "+"));
        let index = ChartIndex::of_versions(&place.chart, versions);
        Ok((Arc::new(index), String::new()))
    }

    pub(super) async fn download_index(
        &self,
        catalog: &Catalog,
    ) -> Result<(Arc<ChartIndex>, String), ChartError> {
        let place = &catalog.place;
        let home = home(place)?;
        let credential = self.credential(place)?;
        let mut current = catalog.current();
        if current.is_none() {
            let (store, key) = (self.0.store.clone(), place.key());
            let kept = self.0.repos.read(move |_| {
                let kept = store.index(&key)?;
                let index = ChartIndex::parse(&kept.body).ok()?;
                Some((Arc::new(index), kept.etag))
            });
            current = kept.await?;
        }
        let etag = current.as_ref().map(|(_, etag)| etag.as_str());
        let reply = self.0.downloads.send(Download {
            url: beside(&home, "index.yaml")?,
            login: Login {
                home: &home,
                credential: credential.as_ref(),
                everywhere: false,
            },
            authorization: None,
            accept: None,
            etag: etag.filter(|etag| !etag.is_empty()),
            what: "index.yaml",
            limit: MAX_INDEX_BYTES,
        });
        let reply = reply.await?;
        if reply.status.as_u16() == 304
            && let Some(current) = current
        {
            return Ok(current);
        }
        let reply = reply.success("index.yaml")?;
        let etag = reply.etag().unwrap_or_default();
        let (store, key) = (self.0.store.clone(), place.key());
        let parsed = self.0.repos.read(move |_| {
            let index = ChartIndex::parse(&reply.body)?;
            let kept = KeptIndex {
                etag: etag.clone(),
                body: reply.body,
            };
            if !etag.is_empty()
                && let Err(error) = store.put_index(&key, &kept)
            {
                tracing::warn!(%error, "cannot keep an index of charts");
            }
            Ok((Arc::new(index), etag))
        });
        parsed.await?
    }

    pub(super) async fn helm_chart(
        &self,
        place: &Place,
        login: (Option<&Credential>, bool),
        chart: &str,
        version: &ChartVersion,
    ) -> Result<Vec<u8>, ChartError> {
        let home = home(place)?;
        let malformed = |reason: String| ChartError::Malformed {
            what: "index.yaml",
            reason,
        };
        let first = version
            .urls
            .first()
            .ok_or_else(|| malformed(format!("{chart} {} has no URL", version.version)))?;
        if first.starts_with("oci://") {
            // Another server than that of the repository: no credential goes there.
            let (url, reference) = split_reference(first);
            return self
                .oci_chart(url, None, reference.unwrap_or(&version.version))
                .await;
        }
        let url = beside(&home, first)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(malformed(format!("{first:?} is no http or https URL")));
        }
        let (credential, everywhere) = login;
        let reply = self.0.downloads.send(Download {
            url,
            login: Login {
                home: &home,
                credential,
                everywhere,
            },
            authorization: None,
            accept: None,
            etag: None,
            what: "bytes of the chart",
            limit: MAX_ARCHIVE_BYTES,
        });
        let content = reply.await?.success("the chart")?.body;
        let expected = version.digest.as_deref().unwrap_or_default();
        let expected = expected.strip_prefix("sha256:").unwrap_or(expected);
        let found = hex::encode(Sha256::digest(&content));
        if !expected.is_empty() && !expected.eq_ignore_ascii_case(&found) {
            return Err(ChartError::Digest {
                what: format!("the chart {chart} {}", version.version),
                found,
                expected: expected.to_owned(),
            });
        }
        Ok(content)
    }

    async fn oci_chart(
        &self,
        url: &str,
        credential: Option<&Credential>,
        version: &str,
    ) -> Result<Vec<u8>, ChartError> {
        let archive = self.oci_archive(url, credential, version, ArtifactContent::Chart);
        Ok(archive.await?.0)
    }

    pub(super) async fn oci_archive(
        &self,
        url: &str,
        credential: Option<&Credential>,
        reference: &str,
        wanted: ArtifactContent,
    ) -> Result<(Vec<u8>, Layout), ChartError> {
        let repository = OciRepository::new(&self.0.downloads, url, credential)?;
        let manifest = repository.manifest(reference).await?;
        repository.archive(&manifest, wanted).await
    }

    /// The digest that a revision of an artifact means: a digest itself, a tag, or a constraint over tags.
    pub(super) async fn find_artifact(
        &self,
        catalog: &Arc<Catalog>,
        revision: &str,
        fresh: Option<Timestamp>,
    ) -> Result<String, ChartError> {
        if revision.starts_with("sha256:") {
            return Ok(revision.to_owned());
        }
        let known = catalog.digests.lock().get(revision).cloned();
        if let Some((digest, asked)) = known
            && fresh.is_none_or(|fresh| asked >= fresh)
        {
            return Ok(digest);
        }
        let asked = self.0.repos.clock().now();
        let tag = if Constraint::parse(revision).is_some() {
            self.select(catalog, "", revision, fresh).await?.1.version
        } else {
            revision.to_owned()
        };
        let credential = self.credential(&catalog.place)?;
        let url = catalog.place.oci_repository();
        let repository = OciRepository::new(&self.0.downloads, &url, credential.as_ref())?;
        let digest = repository.manifest(&tag).await?.digest;
        let mut digests = catalog.digests.lock();
        digests.insert(revision.to_owned(), (digest.clone(), asked));
        Ok(digest)
    }

    /// The annotations of the manifest that a tag or digest of an artifact leads to.
    pub async fn annotations(
        &self,
        url: &str,
        revision: &str,
    ) -> Result<BTreeMap<String, String>, ChartError> {
        let place = Place::of_artifact(url)?;
        let credential = self.credential(&place)?;
        let url = place.oci_repository();
        let repository = OciRepository::new(&self.0.downloads, &url, credential.as_ref())?;
        Ok(repository.manifest(revision).await?.annotations)
    }

    /// Asks again what the revisions of an artifact mean; gives the Applications for which one means another digest.
    pub(super) async fn moved_artifacts(&self, catalog: &Arc<Catalog>) -> Vec<ObjectKey> {
        let now = self.0.repos.clock().now();
        let followers = catalog.followers.lock().clone();
        let before = catalog.digests.lock().clone();
        let mut moved = Vec::new();
        for (app, followed) in followers {
            for one in followed {
                let old = before.get(&one.revision).map(|(digest, _)| digest);
                let found = self.find_artifact(catalog, &one.revision, Some(now)).await;
                match found {
                    Ok(digest) if old != Some(&digest) => {
                        moved.push(app.clone());
                    }
                    Ok(_) => {}
                    Err(error) => {
                        let repository = &catalog.place.url;
                        tracing::warn!(%repository, %error, "cannot read the manifest of an artifact");
                    }
                }
            }
        }
        moved
    }

    /// The content of a URL, asked for without any credential.
    pub async fn download_file(&self, url: &str, limit: u64) -> Result<Vec<u8>, ChartError> {
        let url = Url::parse(url).map_err(|_| ChartError::Url(redact_url(url)))?;
        let reply = self.0.downloads.send(Download {
            url: url.clone(),
            login: Login {
                home: &url,
                credential: None,
                everywhere: false,
            },
            authorization: None,
            accept: None,
            etag: None,
            what: "bytes of the file",
            limit,
        });
        Ok(reply.await?.success("the file")?.body)
    }

    /// The Git repositories, whose threads and times it shares.
    pub fn repositories(&self) -> &RepoHub {
        &self.0.repos
    }

    pub(super) fn credential(&self, place: &Place) -> Result<Option<Credential>, ChartError> {
        match self.0.credentials.find_kind(place.kind, &place.url) {
            Some(secret) => Ok(Some(secret.usable()?)),
            None => Ok(None),
        }
    }
}

/// The URL of a repository as one.
fn home(place: &Place) -> Result<Url, ChartError> {
    Url::parse(&place.url).map_err(|_| ChartError::Url(redact_url(&place.url)))
}

/// A URL that is relative to a repository, whose own path is a folder.
fn beside(home: &Url, reference: &str) -> Result<Url, ChartError> {
    let mut folder = home.clone();
    folder.set_path(&format!("{}/", home.path().trim_end_matches('/')));
    folder
        .join(reference)
        .map_err(|_| ChartError::Url(redact_url(reference)))
}

/// A reference of a registry without its tag or digest, and that.
fn split_reference(url: &str) -> (&str, Option<&str>) {
    if let Some((url, digest)) = url.split_once('@') {
        return (url, Some(digest));
    }
    match url.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => (before, Some(tag)),
        _ => (url, None),
    }
}
