//! `github`: webhooks of repositories, organisations and apps.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use http::{HeaderValue, Method, header};
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    api::{DEADLINE, ServiceApi, bearer, unanswered},
    call::{Call, Reaction, malformed, parse, raw, unauthorised},
    kind::{Hook, HookKind, given},
    registration::{self, GitHubApp, PRIVATE_KEY, base, below, question, token_of},
    signature::{Hash, is_right},
};
use crate::{
    api::KeySelector,
    http_client,
    source::{kind::Input, request::Answer},
    tls::TlsSettings,
};

pub(super) const KIND: HookKind = HookKind {
    key: "github",
    event_type: "github",
    has_expression: true,
    registration: Some(&registration::GITHUB),
    check: |input| Ok(Arc::new(GitHub::check(input)?)),
};

const SECRET: &str = "webhookSecret";
const TOKEN: &str = "apiToken";
const EVENT: &str = "X-GitHub-Event";
const DELIVERY: &str = "X-GitHub-Delivery";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    webhook_secret: Option<KeySelector>,
    payload_enrichment: Enrichment,
    api_token: Option<KeySelector>,
    github_app: Option<GitHubApp>,
    #[serde(rename = "githubBaseURL")]
    base_url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Enrichment {
    #[serde(rename = "fetchPROnPRCommentAdded")]
    pull_request: bool,
}

#[derive(Debug)]
struct GitHub {
    webhook_secret: Option<KeySelector>,
    /// Whether comments on a pull request bring it with them.
    pull_requests: Option<PullRequests>,
}

/// Where pull requests are read.
#[derive(Debug)]
struct PullRequests {
    base: Url,
    app: Option<GitHubApp>,
    secrets: Vec<(&'static str, KeySelector)>,
    api: ServiceApi,
}

impl GitHub {
    fn check(input: &Input<'_>) -> Result<Self, FieldError> {
        let config: Config = input.decode()?;
        let wanted = config.payload_enrichment.pull_request;
        let pull_requests = wanted.then(|| PullRequests::check(input, &config));
        Ok(Self {
            pull_requests: pull_requests.transpose()?,
            webhook_secret: config.webhook_secret,
        })
    }

    async fn read(&self, call: &Call<'_>) -> Result<Reaction, Answer> {
        let mut body = read(call)?;
        if let Some(pull_requests) = &self.pull_requests
            && let Some(comment) = Comment::of(call, &body)
        {
            let found = pull_requests.fetch(call, &comment).await?;
            body.insert("pull_request".to_owned(), raw(&found));
        }
        for name in [EVENT, DELIVERY] {
            body.insert(name.to_owned(), raw(&call.header(name).unwrap_or_default()));
        }
        Ok(Reaction::event(call.id(DELIVERY), call.payload(body)))
    }
}

impl Hook for GitHub {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        let mut all = given([(SECRET, &self.webhook_secret)]);
        all.extend(self.pull_requests.iter().flat_map(|it| it.secrets.clone()));
        all
    }

    fn receive<'r>(&'r self, call: &'r Call<'r>) -> BoxFuture<'r, Result<Reaction, Answer>> {
        self.read(call).boxed()
    }
}

fn read(call: &Call<'_>) -> Result<BTreeMap<String, Box<RawValue>>, Answer> {
    if call.secret(SECRET).is_some_and(|_| !is_signed(call)) {
        return Err(unauthorised("the signature of the payload is not right"));
    }
    match call.form()? {
        None => parse(call.body),
        Some(fields) => {
            let payload = fields.get("payload").and_then(|values| values.first());
            parse(
                payload
                    .ok_or_else(|| malformed("the form has no field payload"))?
                    .as_bytes(),
            )
        }
    }
}

/// A comment that somebody adds to a pull request.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Comment {
    issue: Issue,
    repository: Repository,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Issue {
    number: u64,
    /// Absent for an issue that is none.
    pull_request: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Repository {
    name: String,
    owner: Owner,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Owner {
    login: String,
}

impl Comment {
    fn of(call: &Call<'_>, body: &BTreeMap<String, Box<RawValue>>) -> Option<Self> {
        let text = |field| body.get(field).map(|value| value.get());
        if call.header(EVENT) != Some("issue_comment") || text("action") != Some("\"created\"") {
            return None;
        }
        let issue: Issue = serde_json::from_str(text("issue")?).ok()?;
        issue.pull_request.as_ref()?;
        let repository: Repository = serde_json::from_str(text("repository")?).ok()?;
        (!repository.name.is_empty()).then_some(Self { issue, repository })
    }
}

impl PullRequests {
    fn check(input: &Input<'_>, config: &Config) -> Result<Self, FieldError> {
        let default = "https://api.github.com";
        let base = base(input, "githubBaseURL", &config.base_url, default)?;
        let mut secrets = Vec::new();
        match (&config.github_app, &config.api_token) {
            (Some(app), _) => secrets.extend(app.check(input)?),
            (None, Some(token)) => secrets.push((TOKEN, token.clone())),
            (None, None) => {
                let message = "needs apiToken or githubApp to read the pull request";
                return Err(input.wrong("payloadEnrichment.fetchPROnPRCommentAdded", message));
            }
        }
        Ok(Self {
            base,
            app: config.github_app.clone(),
            secrets,
            api: ServiceApi::default(),
        })
    }

    async fn fetch(&self, call: &Call<'_>, comment: &Comment) -> Result<Value, Answer> {
        let tls = TlsSettings::default();
        let token = match (&self.app, call.secret(PRIVATE_KEY)) {
            (Some(app), Some(key)) => {
                let question = question(app, key, &self.base, call.now.as_second());
                let question = question.map_err(|reason| unanswered(&reason))?;
                let answer = self.api.ask(call, &tls, question).await?;
                token_of(&answer).map_err(unanswered)?.to_owned()
            }
            _ => call
                .secret(TOKEN)
                .map_or_else(String::new, |it| it.expose().to_owned()),
        };
        let mut headers = bearer(&token);
        let accept = HeaderValue::from_static("application/vnd.github+json");
        headers.insert(header::ACCEPT, accept);
        let (repository, number) = (&comment.repository, comment.issue.number.to_string());
        let path = [
            "repos",
            &repository.owner.login,
            &repository.name,
            "pulls",
            &number,
        ];
        let question = http_client::Call {
            method: Method::GET,
            url: below(&self.base, path),
            headers,
            body: None,
            timeout: DEADLINE,
        };
        self.api.ask(call, &tls, question).await
    }
}

/// Old servers send SHA-1 only; where both are there, the better one decides.
fn is_signed(call: &Call<'_>) -> bool {
    let signed = |header, prefix, hash| {
        let given = call.header(header)?.strip_prefix(prefix)?;
        Some(is_right(hash, call.secret(SECRET)?, call.body, given))
    };
    signed("X-Hub-Signature-256", "sha256=", Hash::Sha256)
        .or_else(|| signed("X-Hub-Signature", "sha1=", Hash::Sha1))
        .unwrap_or(false)
}
