//! `bitbucketserver`: webhooks of Bitbucket Server and Data Center.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use reconcile_core::object::FieldError;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    call::{Call, Incoming, Reaction, malformed, parse, raw, unauthorised},
    kind::{Hook, HookKind, given},
    open_pull_requests::OpenPullRequests,
    registration,
    signature::{Hash, is_right},
};
use crate::{
    api::{KeySelector, TlsConfig},
    source::{kind::Input, request::Answer},
};

pub(super) const KIND: HookKind = HookKind {
    key: "bitbucketserver",
    event_type: "bitbucketserver",
    has_expression: true,
    registration: Some(&registration::BITBUCKET_SERVER),
    check: |input| Ok(Arc::new(BitbucketServer::check(input)?)),
};

const SECRET: &str = "webhookSecret";
/// A push, which may change several branches and tags.
const PUSH: &str = "repo:refs_changed";
/// A push whose events would take more bytes than this together is not split.
const MOST_BYTES: usize = 16 * 1024 * 1024;

/// Room for the headers of a request.
const HEADERS: usize = 16 * 1024;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    webhook_secret: Option<KeySelector>,
    one_event_per_change: bool,
    #[serde(rename = "skipBranchRefsChangedOnOpenPR")]
    skips_open: bool,
    #[serde(rename = "bitbucketserverBaseURL")]
    base_url: String,
    access_token: Option<KeySelector>,
    tls: Option<TlsConfig>,
}

#[derive(Debug)]
struct BitbucketServer {
    webhook_secret: Option<KeySelector>,
    one_event_per_change: bool,
    /// Leaves out what a pull request tells already.
    open: Option<OpenPullRequests>,
}

impl BitbucketServer {
    fn check(input: &Input<'_>) -> Result<Self, FieldError> {
        let config: Config = input.decode()?;
        let open = config.skips_open.then(|| {
            let token = config.access_token.as_ref();
            OpenPullRequests::check(input, &config.base_url, token, config.tls.as_ref())
        });
        Ok(Self {
            open: open.transpose()?,
            webhook_secret: config.webhook_secret,
            one_event_per_change: config.one_event_per_change,
        })
    }
}

impl Hook for BitbucketServer {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        let mut all = given([(SECRET, &self.webhook_secret)]);
        all.extend(self.open.iter().flat_map(OpenPullRequests::secrets));
        all
    }

    fn receive<'r>(&'r self, call: &'r Call<'r>) -> BoxFuture<'r, Result<Reaction, Answer>> {
        self.read(call).boxed()
    }
}

impl BitbucketServer {
    async fn read(&self, call: &Call<'_>) -> Result<Reaction, Answer> {
        let Some(event) = call.header("X-Event-Key") else {
            return Err(malformed("the header X-Event-Key is missing"));
        };
        if let Some(secret) = call.secret(SECRET) {
            let given = call.header("X-Hub-Signature").unwrap_or_default();
            let given = given.strip_prefix("sha256=").unwrap_or_default();
            if !is_right(Hash::Sha256, secret, call.body, given) {
                return Err(unauthorised("the signature of the payload is not right"));
            }
        }
        let id = call.id("X-Request-Id");
        let body: BTreeMap<String, Box<RawValue>> = call.json()?;
        if event != PUSH || (!self.one_event_per_change && self.open.is_none()) {
            return Ok(Reaction::event(id, call.payload(body)));
        }
        let mut changes: Vec<Box<RawValue>> = match body.get("changes") {
            None => Vec::new(),
            Some(changes) => parse(changes.get().as_bytes())?,
        };
        if let Some(open) = &self.open {
            changes = open.without_them(call, changes).await?;
            if changes.is_empty() {
                return Ok(Reaction::answer("success"));
            }
        }
        if !self.one_event_per_change {
            // The whole push, as upstream.
            return Ok(Reaction::event(id, call.payload(body)));
        }
        // Headers and what is beside the changes are in each of them.
        let repeated = changes.len().saturating_mul(call.body.len() + HEADERS);
        if repeated > MOST_BYTES {
            return Ok(Reaction::event(id, call.payload(body)));
        }
        let events = changes.into_iter().enumerate().map(|(number, change)| {
            let mut body = body.clone();
            body.insert("changes".to_owned(), raw(&[change]));
            Incoming {
                id: id.as_ref().map(|id| format!("{id}/{number}")),
                payload: call.payload(body),
            }
        });
        Ok(Reaction::events(events.collect()))
    }
}
