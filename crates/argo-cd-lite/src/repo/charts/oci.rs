//! OCI registries: tags, manifests and the one layer that matters.

use http::{HeaderMap, HeaderValue, header::WWW_AUTHENTICATE};
use reqwest::Url;
use serde::Deserialize;

use super::{
    ChartError,
    archive::{Layout, MAX_ARCHIVE_BYTES},
    download::{Download, Downloads, Login, Reply},
    manifest::{Manifest, parse, sha256},
};
use crate::repo::Credential;

/// Bytes of a manifest, a token or a page of tags.
const MAX_DOCUMENT_BYTES: u64 = 4 * 1024 * 1024;
/// Pages of a list of tags.
const MAX_PAGES: usize = 100;
/// Tags of a repository.
const MAX_TAGS: usize = 100_000;
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json";
const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// Layers of artifacts whose files are a source.
const FILE_LAYERS: &[&str] = &[
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
];

/// A repository of a registry.
pub(super) struct OciRepository<'a> {
    downloads: &'a Downloads,
    /// URL of the registry, without a path.
    registry: Url,
    /// Path of the repository.
    name: String,
    credential: Option<&'a Credential>,
}

/// What an archive has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ArtifactContent {
    /// A chart.
    Chart,
    /// A chart, or any files.
    Files,
}

#[derive(Deserialize)]
struct TagPage {
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    /// The name that OAuth has for it; registries send one or both.
    #[serde(default)]
    access_token: String,
}

impl<'a> OciRepository<'a> {
    /// The repository `oci://host/path`.
    pub(super) fn new(
        downloads: &'a Downloads,
        url: &str,
        credential: Option<&'a Credential>,
    ) -> Result<Self, ChartError> {
        let refused = || ChartError::Url(url.to_owned());
        let rest = url.strip_prefix("oci://").ok_or_else(refused)?;
        let (authority, name) = rest.split_once('/').ok_or_else(refused)?;
        let scheme = if credential.is_some_and(|one| one.plain_http) {
            "http"
        } else {
            "https"
        };
        let authority = match authority {
            "docker.io" => "registry-1.docker.io",
            other => other,
        };
        let registry = Url::parse(&format!("{scheme}://{authority}/")).map_err(|_| refused())?;
        Ok(Self {
            downloads,
            registry,
            name: name.to_owned(),
            credential,
        })
    }

    pub(super) async fn tags(&self) -> Result<Vec<String>, ChartError> {
        let mut session = Session::default();
        let mut next = Some(self.url(&format!("tags/list?n={}", 1000))?);
        let mut tags = Vec::new();
        for _ in 0..MAX_PAGES {
            let Some(url) = next.take() else {
                return Ok(tags);
            };
            let request = Request {
                url: url.clone(),
                accept: None,
                what: "the list of tags",
                limit: MAX_DOCUMENT_BYTES,
            };
            let reply = self.get(&mut session, request).await?;
            let page: TagPage = parse("the list of tags", &reply.body)?;
            tags.extend(page.tags.unwrap_or_default());
            if tags.len() > MAX_TAGS {
                break;
            }
            next = following_page(&url, &reply.headers);
        }
        if next.is_none() {
            return Ok(tags);
        }
        Err(ChartError::Exceeds {
            what: "tags of the repository",
            limit: MAX_TAGS as u64,
        })
    }

    /// The manifest of a tag or digest.
    pub(super) async fn manifest(&self, reference: &str) -> Result<Manifest, ChartError> {
        let tag = reference.replace('+', "_");
        let allowed = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
        if tag.is_empty() || !tag.chars().all(allowed) {
            return Err(ChartError::NoVersion {
                chart: self.name.clone(),
                version: reference.to_owned(),
            });
        }
        let request = Request {
            url: self.url(&format!("manifests/{tag}"))?,
            accept: Some(MANIFESTS),
            what: "the manifest",
            limit: MAX_DOCUMENT_BYTES,
        };
        let reply = self.get(&mut Session::default(), request).await?;
        let digest = sha256(&reply.body);
        if tag.starts_with("sha256:") && digest != tag {
            return Err(ChartError::Digest {
                what: "the manifest".to_owned(),
                found: digest,
                expected: tag,
            });
        }
        Manifest::parse(&reply.body)
    }

    /// The archive that a manifest leads to: the chart, or the one layer of files.
    pub(super) async fn archive(
        &self,
        manifest: &Manifest,
        wanted: ArtifactContent,
    ) -> Result<(Vec<u8>, Layout), ChartError> {
        let layers = &manifest.layers;
        let chart = layers.iter().find(|layer| layer.media_type == CHART_LAYER);
        let (layer, layout) = match (chart, layers.as_slice()) {
            (Some(layer), _) => (layer, Layout::Chart),
            (None, [layer])
                if wanted == ArtifactContent::Files
                    && FILE_LAYERS.contains(&layer.media_type.as_str()) =>
            {
                (layer, Layout::Plain)
            }
            _ => {
                let wanted = if wanted == ArtifactContent::Chart {
                    format!("a layer of the media type {CHART_LAYER}")
                } else {
                    format!(
                        "a chart, or exactly one layer of {}",
                        FILE_LAYERS.join(" or ")
                    )
                };
                return Err(ChartError::Malformed {
                    what: "the manifest",
                    reason: format!("it does not have {wanted}"),
                });
            }
        };
        if layer.size > MAX_ARCHIVE_BYTES {
            return Err(ChartError::Exceeds {
                what: "bytes of the layer",
                limit: MAX_ARCHIVE_BYTES,
            });
        }
        let is_sha256 = layer.digest.strip_prefix("sha256:").is_some_and(|digits| {
            digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        });
        if !is_sha256 {
            return Err(ChartError::Malformed {
                what: "the manifest",
                reason: "the digest of its layer is no SHA-256".to_owned(),
            });
        }
        let request = Request {
            url: self.url(&format!("blobs/{}", layer.digest))?,
            accept: None,
            what: "bytes of the layer",
            limit: MAX_ARCHIVE_BYTES,
        };
        let reply = self.get(&mut Session::default(), request).await?;
        let found = sha256(&reply.body);
        if found != layer.digest {
            return Err(ChartError::Digest {
                what: "the layer".to_owned(),
                found,
                expected: layer.digest.clone(),
            });
        }
        Ok((reply.body, layout))
    }

    fn url(&self, rest: &str) -> Result<Url, ChartError> {
        let path = format!("v2/{}/{rest}", self.name);
        let url = self.registry.join(&path);
        url.map_err(|_| ChartError::Url(format!("{}{}", self.registry, self.name)))
    }

    fn login(&self) -> Login<'_> {
        Login {
            home: &self.registry,
            credential: self.credential,
            everywhere: false,
        }
    }

    /// Sends a request; when the registry asks for a token, gets one and sends it again.
    async fn get(&self, session: &mut Session, request: Request) -> Result<Reply, ChartError> {
        let send = |authorization: Option<HeaderValue>| {
            self.downloads.send(Download {
                url: request.url.clone(),
                login: self.login(),
                authorization,
                accept: request.accept,
                etag: None,
                what: request.what,
                limit: request.limit,
            })
        };
        let reply = send(session.authorization.clone()).await?;
        if reply.status.as_u16() != 401 {
            return reply.success(request.what);
        }
        let Some(challenge) = Challenge::of(&reply.headers) else {
            return reply.success(request.what);
        };
        session.authorization = Some(self.token(&challenge).await?);
        send(session.authorization.clone())
            .await?
            .success(request.what)
    }

    /// A token from where the registry says. The registry itself could pass the credential on, so its word counts;
    /// but a registry with TLS does not make it go over a line without.
    async fn token(&self, challenge: &Challenge) -> Result<HeaderValue, ChartError> {
        let malformed = |reason: &str| ChartError::Malformed {
            what: "the registry's request for a token",
            reason: reason.to_owned(),
        };
        let mut realm = Url::parse(&challenge.realm).map_err(|_| malformed("realm is no URL"))?;
        let fine = realm.scheme() == "https"
            || (realm.scheme() == "http" && self.registry.scheme() == "http");
        if !fine {
            return Err(malformed("realm is no https URL"));
        }
        if !challenge.service.is_empty() {
            realm
                .query_pairs_mut()
                .append_pair("service", &challenge.service);
        }
        realm
            .query_pairs_mut()
            .append_pair("scope", &format!("repository:{}:pull", self.name));
        let home = realm.clone();
        let reply = self.downloads.send(Download {
            url: realm,
            login: Login {
                home: &home,
                credential: self.credential,
                everywhere: false,
            },
            authorization: None,
            accept: None,
            etag: None,
            what: "the token",
            limit: MAX_DOCUMENT_BYTES,
        });
        let reply = reply.await?.success("the token")?;
        let token: Token = parse("the token", &reply.body)?;
        let token = if token.token.is_empty() {
            token.access_token
        } else {
            token.token
        };
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| malformed("the token cannot be sent"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

#[cfg(test)]
impl OciRepository<'_> {
    /// The token that a registry with this realm leads to.
    pub(super) async fn token_from(&self, realm: &str) -> Result<HeaderValue, ChartError> {
        let challenge = Challenge {
            realm: realm.to_owned(),
            service: String::new(),
        };
        self.token(&challenge).await
    }
}

struct Request {
    url: Url,
    accept: Option<&'static str>,
    what: &'static str,
    limit: u64,
}

#[derive(Default)]
struct Session {
    authorization: Option<HeaderValue>,
}

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
struct Challenge {
    realm: String,
    service: String,
}

impl Challenge {
    /// The challenge for a bearer token in the headers of an answer.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .find(|text| text.to_ascii_lowercase().starts_with("bearer "))?;
        let value = |name: &str| {
            let at = text.find(&format!("{name}=\""))? + name.len() + 2;
            let end = text[at..].find('"')?;
            Some(text[at..at + end].to_owned())
        };
        Some(Self {
            realm: value("realm")?,
            service: value("service").unwrap_or_default(),
        })
    }
}

/// The next page, when it is on the same server.
fn following_page(from: &Url, headers: &HeaderMap) -> Option<Url> {
    let link = headers.get(http::header::LINK)?.to_str().ok()?;
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    if !rest.contains("next") {
        return None;
    }
    let url = from.join(target).ok()?;
    (url.origin() == from.origin()).then_some(url)
}
