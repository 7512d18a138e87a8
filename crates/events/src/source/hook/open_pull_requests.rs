//! Whether a push to Bitbucket Server is part of a pull request that is open, which tells of it too.

use http::Method;
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    api::{DEADLINE, ServiceApi, bearer},
    call::{Call, malformed, parse},
    registration::{base, below},
};
use crate::{
    api::{KeySelector, TlsConfig},
    http_client,
    source::{kind::Input, request::Answer, server::ServerTls},
    tls::TlsSettings,
};

const TOKEN: &str = "accessToken";
/// Branches of one push that the server is asked about.
const MOST: usize = 50;
/// Pull requests of a page.
const PAGE: usize = 100;
/// Pages that are read.
const PAGES: usize = 5;

/// The server that knows pull requests.
#[derive(Debug)]
pub(super) struct OpenPullRequests {
    projects: Url,
    token: KeySelector,
    tls: Option<ServerTls>,
    api: ServiceApi,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Push {
    repository: Repository,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    slug: String,
    project: Project,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Project {
    key: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Change {
    #[serde(rename = "ref")]
    reference: Reference,
    #[serde(rename = "type")]
    kind: String,
    to_hash: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reference {
    #[serde(rename = "type")]
    kind: String,
}

impl OpenPullRequests {
    /// Of the server of an event.
    pub(super) fn check(
        input: &Input<'_>,
        url: &str,
        token: Option<&KeySelector>,
        tls: Option<&TlsConfig>,
    ) -> Result<Self, FieldError> {
        let base = base(input, "bitbucketserverBaseURL", url, "")?;
        let api = if base.path().trim_end_matches('/').ends_with("/rest") {
            below(&base, ["api", "1.0"])
        } else {
            below(&base, ["rest", "api", "1.0"])
        };
        let reason = "must be set: skipBranchRefsChangedOnOpenPR asks the server for pull requests";
        Ok(Self {
            projects: below(&api, ["projects"]),
            token: token.cloned().ok_or_else(|| input.wrong(TOKEN, reason))?,
            tls: ServerTls::check(input, tls)?,
            api: ServiceApi::default(),
        })
    }

    /// The Secrets that it needs.
    pub(super) fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        let token = (TOKEN, self.token.clone());
        let tls = self.tls.iter().flat_map(|tls| tls.secrets.clone());
        std::iter::once(token).chain(tls).collect()
    }

    /// The changes of a push without branches whose newest commit is in an open pull request.
    pub(super) async fn without_them(
        &self,
        call: &Call<'_>,
        changes: Vec<Box<RawValue>>,
    ) -> Result<Vec<Box<RawValue>>, Answer> {
        let Push { repository } = call.json()?;
        let (mut kept, mut asked) = (Vec::new(), 0);
        for raw in changes {
            let change: Change = parse(raw.get().as_bytes())?;
            if change.reference.kind == "BRANCH" && change.kind != "DELETE" {
                asked += 1;
                if asked > MOST {
                    let message = format!("the push changes more than {MOST} branches");
                    return Err(malformed(message));
                }
                if self.is_open(call, &repository, &change.to_hash).await? {
                    continue;
                }
            }
            kept.push(raw);
        }
        Ok(kept)
    }

    async fn is_open(
        &self,
        call: &Call<'_>,
        repository: &Repository,
        commit: &str,
    ) -> Result<bool, Answer> {
        let (project, slug) = (repository.project.key.as_str(), repository.slug.as_str());
        let path = [project, "repos", slug, "commits", commit, "pull-requests"];
        let settings = |tls: &ServerTls| tls.settings(|field| call.secret(field).cloned());
        let tls: TlsSettings = self.tls.as_ref().map(settings).unwrap_or_default();
        let token = call.secret(TOKEN).map_or("", |token| token.expose());
        for page in 0..PAGES {
            let mut url = below(&self.projects, path);
            url.set_query(Some(&format!("limit={PAGE}&start={}", page * PAGE)));
            let question = http_client::Call {
                method: Method::GET,
                url,
                headers: bearer(token),
                body: None,
                timeout: DEADLINE,
            };
            let answer = self.api.ask(call, &tls, question).await?;
            let found = answer["values"].as_array().map_or(&[][..], Vec::as_slice);
            let open = |one: &Value| {
                let state = one["state"].as_str();
                state.is_some_and(|state| state.eq_ignore_ascii_case("OPEN"))
            };
            if found.iter().any(open) {
                return Ok(true);
            }
            if found.len() < PAGE || answer["isLastPage"] == Value::Bool(true) {
                break;
            }
        }
        Ok(false)
    }
}
