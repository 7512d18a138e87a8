//! `github`: webhooks of repositories, organisations and apps.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    call::{Call, Reaction, malformed, parse, raw, unauthorised},
    kind::{Hook, HookKind, given},
    registration,
    signature::{Hash, is_right},
};
use crate::{api::KeySelector, source::request::Answer};

pub(super) const KIND: HookKind = HookKind {
    key: "github",
    event_type: "github",
    has_expression: true,
    registration: Some(&registration::GITHUB),
    check: |input| Ok(Arc::new(input.decode::<GitHub>()?)),
};

const SECRET: &str = "webhookSecret";
const EVENT: &str = "X-GitHub-Event";
const DELIVERY: &str = "X-GitHub-Delivery";

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct GitHub {
    webhook_secret: Option<KeySelector>,
}

impl Hook for GitHub {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        given([(SECRET, &self.webhook_secret)])
    }

    fn receive<'r>(&'r self, call: &'r Call<'r>) -> BoxFuture<'r, Result<Reaction, Answer>> {
        std::future::ready(read(call)).boxed()
    }
}

fn read(call: &Call<'_>) -> Result<Reaction, Answer> {
    if call.secret(SECRET).is_some_and(|_| !is_signed(call)) {
        return Err(unauthorised("the signature of the payload is not right"));
    }
    let payload = match call.form()? {
        None => parse(call.body)?,
        Some(fields) => {
            let payload = fields.get("payload").and_then(|values| values.first());
            parse(
                payload
                    .ok_or_else(|| malformed("the form has no field payload"))?
                    .as_bytes(),
            )?
        }
    };
    let mut body: BTreeMap<String, Box<RawValue>> = payload;
    for name in [EVENT, DELIVERY] {
        body.insert(name.to_owned(), raw(&call.header(name).unwrap_or_default()));
    }
    Ok(Reaction::event(call.id(DELIVERY), call.payload(body)))
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
