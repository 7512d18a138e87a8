//! `stripe`: events of Stripe. Upstream has no field for the secret of an endpoint, so `webhook.authSecret` is
//! what keeps others out.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    call::{Call, Reaction, malformed, parse},
    kind::{Hook, HookKind},
    registration,
};
use crate::source::{emitter, request::Answer};

pub(super) const KIND: HookKind = HookKind {
    key: "stripe",
    event_type: "stripe",
    has_expression: false,
    registration: Some(&registration::STRIPE),
    check: |input| Ok(Arc::new(input.decode::<Stripe>()?)),
};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stripe {
    /// Types of events; all when there are none.
    event_filter: Vec<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Event {
    id: Option<String>,
    #[serde(rename = "type")]
    type_: Option<String>,
}

#[derive(Serialize)]
struct Payload<'p> {
    event: &'p RawValue,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Hook for Stripe {
    fn receive<'r>(&'r self, call: &'r Call<'r>) -> BoxFuture<'r, Result<Reaction, Answer>> {
        std::future::ready(self.read(call)).boxed()
    }
}

impl Stripe {
    fn read(&self, call: &Call<'_>) -> Result<Reaction, Answer> {
        let body: Box<RawValue> = call.json()?;
        let event: Event = parse(body.get().as_bytes())?;
        let (Some(id), Some(type_)) = (event.id, event.type_) else {
            return Err(malformed(
                "the body is no event of Stripe: it has no id or type",
            ));
        };
        if !self.event_filter.is_empty() && !self.event_filter.contains(&type_) {
            // An error would make Stripe send it again, and disable the endpoint in the end.
            return Ok(Reaction::answer("filtered out"));
        }
        let payload = emitter::payload(&Payload {
            event: &body,
            metadata: call.metadata,
        });
        Ok(Reaction::event(Some(id), payload))
    }
}
