//! `mqtt`: the messages of a topic.
//!
//! The session outlives the connection, and a message of `QoS` 1 or 2 is acknowledged after the bus stored it: the
//! broker keeps what arrives while nobody is connected, and sends again what was not acknowledged.

use std::sync::Arc;

use reconcile_core::object::FieldError;
use serde::Deserialize;

use super::{broker, session::Session, text};
use crate::{
    api::{TlsConfig, trigger::BasicAuth},
    source::kind::{Input, SourceKind},
};

pub(in crate::source) const KIND: SourceKind = SourceKind {
    key: "mqtt",
    check: |input| Ok(Arc::new(check(input)?)),
};

const USERNAME: &str = "auth.username";
const PASSWORD: &str = "auth.password";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    url: String,
    topic: String,
    client_id: String,
    json_body: bool,
    auth: Option<BasicAuth>,
    tls: Option<TlsConfig>,
}

fn check(input: &Input<'_>) -> Result<Session, FieldError> {
    let config: Config = input.decode()?;
    text(input, "topic", &config.topic)?;
    text(input, "clientId", &config.client_id)?;
    if !rumqttc::valid_filter(&config.topic) {
        let message = format!("{:?} is not a topic filter", config.topic);
        return Err(input.wrong("topic", message));
    }
    let auth = config.auth.unwrap_or_default();
    if auth.username.is_none() && auth.password.is_some() {
        return Err(input.wrong("auth", "a password needs a username"));
    }
    Ok(Session {
        server: broker(input, ("url", &config.url), config.tls, (1883, 8883))?,
        shown: config.topic.clone(),
        filter: config.topic,
        client: Some(config.client_id),
        json: config.json_body,
        username: auth.username.map(|selector| (USERNAME, selector)),
        password: auth.password.map(|selector| (PASSWORD, selector)),
    })
}
