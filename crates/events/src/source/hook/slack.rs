//! `slack`: events, slash commands and interactions of a Slack app.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use reconcile_core::object::FieldError;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    call::{Call, Reaction, malformed, parse, unauthorised},
    kind::{Hook, HookKind, given},
    signature::{Hash, is_right},
};
use crate::{
    api::KeySelector,
    source::{emitter, kind::Input, request::Answer},
};

pub(super) const KIND: HookKind = HookKind {
    key: "slack",
    event_type: "slack",
    has_expression: true,
    registration: None,
    check: |input| Ok(Arc::new(check(input)?)),
};

const TOKEN: &str = "token";
const SECRET: &str = "signingSecret";
/// A request that was signed longer ago may be one that somebody has recorded.
const OLDEST: i64 = 5 * 60;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Slack {
    token: Option<KeySelector>,
    signing_secret: Option<KeySelector>,
}

fn check(input: &Input<'_>) -> Result<Slack, FieldError> {
    let slack: Slack = input.decode()?;
    if slack.signing_secret.is_none() {
        return Err(input.wrong(SECRET, "must name the signing secret of the Slack app"));
    }
    Ok(slack)
}

/// A call of the Events API.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Outer {
    #[serde(rename = "type")]
    type_: String,
    token: String,
    challenge: String,
    event_id: Option<String>,
    event: Option<Box<RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Inner {
    #[serde(rename = "type")]
    type_: String,
}

/// What upstream makes of an event.
#[derive(Serialize)]
struct Payload<'p> {
    #[serde(rename = "type")]
    type_: &'p str,
    #[serde(rename = "Data")]
    data: &'p RawValue,
}

impl Hook for Slack {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        given([(TOKEN, &self.token), (SECRET, &self.signing_secret)])
    }

    fn receive<'r>(&'r self, call: &'r Call<'r>) -> BoxFuture<'r, Result<Reaction, Answer>> {
        std::future::ready(read(call)).boxed()
    }
}

fn read(call: &Call<'_>) -> Result<Reaction, Answer> {
    if !is_signed(call) {
        return Err(unauthorised(
            "the signature of the request is not right, or too old",
        ));
    }
    let Some(mut form) = call.form()? else {
        return event(call);
    };
    if let Some(payload) = form.get("payload").and_then(|values| values.first()) {
        let payload: BTreeMap<String, Box<RawValue>> = parse(payload.as_bytes())?;
        let id = payload.get("trigger_id").map(|id| id.get().to_owned());
        return Ok(Reaction::event(
            id,
            emitter::payload(&without_token(payload)),
        ));
    }
    if !form.contains_key("command") {
        return Err(malformed(
            "the form is neither an interaction nor a command",
        ));
    }
    form.remove(TOKEN);
    let command: BTreeMap<String, String> = form
        .into_iter()
        .filter_map(|(name, values)| Some((name, values.into_iter().next()?)))
        .collect();
    let id = command.get("trigger_id").cloned();
    Ok(Reaction::event(id, emitter::payload(&command)))
}

/// The verification token, which would let others sign in the old way, does not travel with the event.
fn without_token(mut payload: BTreeMap<String, Box<RawValue>>) -> BTreeMap<String, Box<RawValue>> {
    payload.remove(TOKEN);
    payload
}

fn event(call: &Call<'_>) -> Result<Reaction, Answer> {
    let outer: Outer = call.json()?;
    if call
        .secret(TOKEN)
        .is_some_and(|token| !token.is(&outer.token))
    {
        return Err(unauthorised("the verification token is not right"));
    }
    match outer.type_.as_str() {
        "url_verification" => Ok(Reaction::answer(outer.challenge)),
        "event_callback" => {
            let data = outer.event.ok_or_else(|| malformed("there is no event"))?;
            let inner: Inner = parse(data.get().as_bytes())?;
            let payload = emitter::payload(&Payload {
                type_: &inner.type_,
                data: &data,
            });
            Ok(Reaction::event(outer.event_id, payload))
        }
        // Such as app_rate_limited.
        _ => Ok(Reaction::answer("success")),
    }
}

fn is_signed(call: &Call<'_>) -> bool {
    let time = call.header("X-Slack-Request-Timestamp").unwrap_or_default();
    let signature = call.header("X-Slack-Signature").unwrap_or_default();
    let (Ok(signed_at), Some(given), Some(secret)) = (
        time.parse::<i64>(),
        signature.strip_prefix("v0="),
        call.secret(SECRET),
    ) else {
        return false;
    };
    let message = [b"v0:", time.as_bytes(), b":", call.body].concat();
    let age = call.now.as_second().saturating_sub(signed_at);
    (-OLDEST..=OLDEST).contains(&age) && is_right(Hash::Sha256, secret, &message, given)
}
