//! `gitlab`: webhooks of projects and groups.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    call::{Call, Reaction, unauthorised},
    kind::{Hook, HookKind, given},
    registration,
};
use crate::{api::KeySelector, source::request::Answer};

pub(super) const KIND: HookKind = HookKind {
    key: "gitlab",
    event_type: "gitlab",
    has_expression: true,
    registration: Some(&registration::GITLAB),
    check: |input| Ok(Arc::new(input.decode::<GitLab>()?)),
};

const SECRET: &str = "secretToken";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GitLab {
    secret_token: Option<KeySelector>,
}

impl Hook for GitLab {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        given([(SECRET, &self.secret_token)])
    }

    fn receive<'r>(&'r self, call: &'r Call<'r>) -> BoxFuture<'r, Result<Reaction, Answer>> {
        std::future::ready(read(call)).boxed()
    }
}

fn read(call: &Call<'_>) -> Result<Reaction, Answer> {
    if let Some(secret) = call.secret(SECRET) {
        let token = call.header("X-Gitlab-Token").unwrap_or_default();
        if secret.is_empty() || !secret.is(token) {
            return Err(unauthorised("the token in X-Gitlab-Token is not right"));
        }
    }
    let body: Box<RawValue> = call.json()?;
    // The same for each try of one delivery.
    Ok(Reaction::event(
        call.id("Idempotency-Key"),
        call.payload(body),
    ))
}
