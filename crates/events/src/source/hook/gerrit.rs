//! `gerrit`: calls of Gerrit's webhooks plugin, which signs nothing.

use std::sync::Arc;

use futures::{FutureExt, future::BoxFuture};
use serde_json::value::RawValue;

use super::{
    call::{Call, Reaction},
    kind::{Hook, HookKind},
    registration,
};
use crate::source::request::Answer;

pub(super) const KIND: HookKind = HookKind {
    key: "gerrit",
    event_type: "gerrit",
    has_expression: true,
    registration: Some(&registration::GERRIT),
    check: |_| Ok(Arc::new(Gerrit)),
};

#[derive(Debug)]
struct Gerrit;

impl Hook for Gerrit {
    fn receive<'r>(&'r self, call: &'r Call<'r>) -> BoxFuture<'r, Result<Reaction, Answer>> {
        let body = call.json::<Box<RawValue>>();
        let reaction = body.map(|body| Reaction::event(None, call.payload(body)));
        std::future::ready(reaction).boxed()
    }
}
