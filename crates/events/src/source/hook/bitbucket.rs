//! `bitbucket`: webhooks of Bitbucket Cloud, which signs nothing that upstream has a field for.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use serde_json::value::RawValue;

use super::{
    call::{Call, Reaction, malformed},
    kind::{Hook, HookKind},
    registration,
};
use crate::source::request::Answer;

pub(super) const KIND: HookKind = HookKind {
    key: "bitbucket",
    event_type: "bitbucket",
    has_expression: true,
    registration: Some(&registration::BITBUCKET),
    check: |_| Ok(Arc::new(Bitbucket)),
};

#[derive(Debug)]
struct Bitbucket;

impl Hook for Bitbucket {
    fn receive<'r>(&'r self, call: &'r Call<'r>) -> BoxFuture<'r, Result<Reaction, Answer>> {
        std::future::ready(read(call)).boxed()
    }
}

fn read(call: &Call<'_>) -> Result<Reaction, Answer> {
    if call.id("X-Event-Key").is_none() {
        return Err(malformed("the header X-Event-Key is missing"));
    }
    let body: Box<RawValue> = call.json()?;
    Ok(Reaction::event(
        call.id("X-Request-UUID"),
        call.payload(body),
    ))
}
