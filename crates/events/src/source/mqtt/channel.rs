//! `emitter`: the messages of a channel of emitter.io.
//!
//! A channel is the MQTT topic `KEY/NAME/`. The broker keeps no sessions: what is published while the source is not
//! connected is lost, as upstream.

use std::sync::Arc;

use reconcile_core::object::FieldError;
use serde::Deserialize;

use super::{broker, session::Session, text};
use crate::{
    api::{KeySelector, TlsConfig},
    source::kind::{Input, SourceKind},
};

pub(in crate::source) const KIND: SourceKind = SourceKind {
    key: "emitter",
    check: |input| Ok(Arc::new(check(input)?)),
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    broker: String,
    channel_key: String,
    channel_name: String,
    json_body: bool,
    username: Option<KeySelector>,
    password: Option<KeySelector>,
    tls: Option<TlsConfig>,
}

fn check(input: &Input<'_>) -> Result<Session, FieldError> {
    let config: Config = input.decode()?;
    let key = config.channel_key.trim_matches('/');
    let name = config.channel_name.trim_matches('/');
    if key.is_empty() || key.contains('/') {
        return Err(input.wrong("channelKey", "must be the key of a channel"));
    }
    text(input, "channelName", name)?;
    let filter = format!("{key}/{name}/");
    if !rumqttc::valid_filter(&filter) {
        let message = format!("{name:?} is not a channel");
        return Err(input.wrong("channelName", message));
    }
    if config.username.is_none() && config.password.is_some() {
        return Err(input.wrong("username", "a password needs a username"));
    }
    Ok(Session {
        server: broker(input, ("broker", &config.broker), config.tls, (8080, 443))?,
        shown: name.to_owned(),
        filter,
        client: None,
        json: config.json_body,
        username: config.username.map(|selector| ("username", selector)),
        password: config.password.map(|selector| ("password", selector)),
    })
}
