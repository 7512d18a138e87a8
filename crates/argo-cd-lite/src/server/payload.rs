//! Payloads of Git servers: who sent them, are they genuine, which repositories do they speak of. Total
//! functions: no payload can make them fail in an unforeseen way.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use reconcile_core::secret::Secret;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use sha2::Sha256;

/// A kind of Git server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// GitHub.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gogs, Gitea and Forgejo.
    Gogs,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Server and Data Center.
    BitbucketServer,
    /// Azure DevOps.
    AzureDevOps,
}

impl Provider {
    /// The sender, recognised by the header that names the event.
    pub fn of(header: impl Fn(&str) -> Option<String>) -> Option<(Self, String)> {
        // Both name the event in the same header.
        if header("x-hook-uuid").is_some() {
            return Some((Self::Bitbucket, header("x-event-key").unwrap_or_default()));
        }
        // Gitea also sends the headers of GitHub and Gogs. Azure DevOps names the event in the payload only.
        let kinds = [
            ("x-gitea-event", Self::Gogs),
            ("x-gogs-event", Self::Gogs),
            ("x-gitlab-event", Self::GitLab),
            ("x-github-event", Self::GitHub),
            ("x-event-key", Self::BitbucketServer),
            ("x-vss-activityid", Self::AzureDevOps),
        ];
        kinds
            .into_iter()
            .find_map(|(name, provider)| Some((provider, header(name)?)))
    }

    fn secret_key(self) -> &'static str {
        match self {
            Self::GitHub => "webhook.github.secret",
            Self::GitLab => "webhook.gitlab.secret",
            Self::Gogs => "webhook.gogs.secret",
            Self::Bitbucket => "webhook.bitbucket.uuid",
            Self::BitbucketServer => "webhook.bitbucketserver.secret",
            Self::AzureDevOps => "webhook.azuredevops.password",
        }
    }

    /// True for the event by which a server asks whether anybody listens.
    pub fn is_ping(self, event: &str) -> bool {
        match self {
            Self::BitbucketServer => event == "diagnostics:ping",
            _ => event == "ping",
        }
    }
}

/// True when the request carries the proof that the secret of its provider asks for, or when no secret of any provider
/// is set. Stricter than upstream: once one provider has a secret, those without one are refused, because anyone could
/// pretend to be one of them.
pub fn verify(
    provider: Provider,
    secrets: &BTreeMap<String, Secret>,
    header: impl Fn(&str) -> Option<String>,
    body: &[u8],
) -> bool {
    let Some(secret) = secrets
        .get(provider.secret_key())
        .filter(|secret| !secret.is_empty())
    else {
        return !secrets
            .iter()
            .any(|(key, secret)| is_webhook_secret(key) && !secret.is_empty());
    };
    let signed = |hex_text: Option<String>| {
        let Some(signature) = hex_text.and_then(|text| hex::decode(text).ok()) else {
            return false;
        };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes()) else {
            return false;
        };
        mac.update(body);
        // Compares in constant time.
        mac.verify_slice(&signature).is_ok()
    };
    let sha256 = |name: &str| header(name)?.strip_prefix("sha256=").map(str::to_owned);
    match provider {
        Provider::GitHub => signed(sha256("x-hub-signature-256")),
        Provider::BitbucketServer => signed(sha256("x-hub-signature")),
        Provider::Bitbucket => header("x-hook-uuid").is_some_and(|uuid| secret.is(&uuid)),
        Provider::AzureDevOps => logged_in(secrets, secret, header("authorization")),
        Provider::Gogs => {
            signed(header("x-gitea-signature").or_else(|| header("x-gogs-signature")))
        }
        Provider::GitLab => header("x-gitlab-token").is_some_and(|token| secret.is(&token)),
    }
}

/// Whether the header has name and password of the sender.
fn logged_in(
    secrets: &BTreeMap<String, Secret>,
    password: &Secret,
    authorization: Option<String>,
) -> bool {
    let Some(text) = authorization else {
        return false;
    };
    let decoded = text
        .strip_prefix("Basic ")
        .and_then(|encoded| STANDARD.decode(encoded).ok());
    let Some(pair) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()) else {
        return false;
    };
    let Some((name, given)) = pair.split_once(':') else {
        return false;
    };
    let wanted = secrets.get("webhook.azuredevops.username");
    let named = wanted.map_or(name.is_empty(), |wanted| wanted.is(name));
    password.is(given) && named
}

fn is_webhook_secret(key: &str) -> bool {
    key.strip_prefix("webhook.")
        .and_then(|rest| rest.rsplit_once('.'))
        .is_some_and(|(_, last)| matches!(last, "secret" | "uuid" | "password"))
}

/// Members of `repository` that hold a URL of it.
const OF_REPOSITORY: &[&str] = &[
    "html_url",
    "clone_url",
    "git_url",
    "ssh_url",
    "git_http_url",
    "git_ssh_url",
    "homepage",
    "url",
];
/// The member of a link of Bitbucket.
const OF_LINK: &[&str] = &["href"];
/// Members of `resource.repository` of Azure DevOps that hold a URL of it.
const OF_RESOURCE: &[&str] = &["remoteUrl"];
/// Members of `project` that hold a URL of it.
const OF_PROJECT: &[&str] = &["web_url", "git_http_url", "git_ssh_url", "http_url"];
/// URLs that are taken of one payload, far more than there are places.
const MAX_URLS: usize = 32;
/// Bytes of a URL.
const MAX_URL: usize = 4096;

/// URLs under which the pushed repository may be known. Nothing else of the payload is kept in memory.
pub fn repositories(payload: &[u8]) -> Result<Vec<String>, serde_json::Error> {
    let mut urls = Vec::new();
    let mut reader = serde_json::Deserializer::from_slice(payload);
    Place::Payload.read(&mut urls).deserialize(&mut reader)?;
    reader.end()?;
    urls.sort();
    urls.dedup();
    Ok(urls)
}

/// A place in a payload.
#[derive(Clone, Copy)]
enum Place {
    Payload,
    /// The repository.
    Repository,
    /// `repository.links` of Bitbucket.
    Links,
    /// A list of objects with these members.
    List(&'static [&'static str]),
    /// `resource` of Azure DevOps.
    Resource,
    /// An object with these members.
    Members(&'static [&'static str]),
    Url,
}

impl Place {
    /// What a member of an object at this place is.
    fn member(self, key: &str) -> Option<Self> {
        match self {
            Self::Payload if key == "repository" => Some(Self::Repository),
            Self::Payload if key == "resource" => Some(Self::Resource),
            Self::Repository if key == "links" => Some(Self::Links),
            Self::Repository if OF_REPOSITORY.contains(&key) => Some(Self::Url),
            Self::Links if key == "html" => Some(Self::Members(OF_LINK)),
            Self::Links if key == "clone" => Some(Self::List(OF_LINK)),
            Self::Resource if key == "repository" => Some(Self::Members(OF_RESOURCE)),
            Self::Payload if key == "project" => Some(Self::Members(OF_PROJECT)),
            Self::Members(names) if names.contains(&key) => Some(Self::Url),
            _ => None,
        }
    }

    fn read(self, urls: &mut Vec<String>) -> Reader<'_> {
        Reader { place: self, urls }
    }
}

/// Takes the URLs of a value and skips the rest of it, whatever it is.
struct Reader<'u> {
    place: Place,
    urls: &'u mut Vec<String>,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(key) = members.next_key::<String>()? {
            match self.place.member(&key) {
                Some(place) => members.next_value_seed(place.read(self.urls))?,
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        if let Place::List(members) = self.place {
            let place = Place::Members(members);
            while items.next_element_seed(place.read(self.urls))?.is_some() {}
        } else {
            while items.next_element::<IgnoredAny>()?.is_some() {}
        }
        Ok(())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        let is_url = matches!(self.place, Place::Url) && (1..=MAX_URL).contains(&text.len());
        if is_url && self.urls.len() < MAX_URLS {
            self.urls.push(text.to_owned());
        }
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }
}
