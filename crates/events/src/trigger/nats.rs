//! The nats trigger: publishes to a core NATS subject, which confirms nothing: successful when the message was written
//! to a connection. A JetStream that stores the subject drops repetitions by the id of the message.

use std::{collections::HashMap, sync::Arc};

use async_nats::{Client, HeaderMap};
use parking_lot::Mutex;
use reconcile_core::{object::FieldError, secret::Secret};
use serde_json::{Value, json};

use super::{Executor, Firing, TriggerError};
use crate::{
    api::{
        decode,
        trigger::{NatsTrigger, Parameter},
    },
    nats::{DEADLINE, NatsError, NatsServer},
    sensor::parameter,
};

/// Connections that are kept; beyond that number all are dropped, and made again when needed.
const MOST: usize = 64;

/// Connections by server and credentials. Clones share them.
#[derive(Clone, Default)]
pub struct NatsClients(Arc<Mutex<HashMap<String, Connected>>>);

/// The connection with these credentials.
type Connected = (Vec<Secret>, Client);

impl NatsClients {
    async fn get(&self, server: &NatsServer, values: Vec<Secret>) -> Result<Client, NatsError> {
        // Without the values, which are compared and never printed.
        let id = format!("{server:?}");
        if let Some((known, client)) = self.0.lock().get(&id)
            && *known == values
        {
            return Ok(client.clone());
        }
        let connecting = server.options(&values)?.connect(server.url.as_str());
        let client = tokio::time::timeout(2 * DEADLINE, connecting)
            .await
            .map_err(|_| server.failed("no answer in time"))?
            .map_err(|error| server.failed(&error))?;
        let mut clients = self.0.lock();
        if clients.len() >= MOST {
            clients.clear();
        }
        clients.insert(id, (values, client.clone()));
        Ok(client)
    }
}

impl From<NatsError> for TriggerError {
    fn from(error: NatsError) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Checks what can be checked before parameters are applied.
pub(super) fn check(path: &str, action: &NatsTrigger) -> Result<(), FieldError> {
    let patched = |field: &str| {
        let parameters: &[Parameter] = &action.parameters;
        parameters.iter().any(|parameter| parameter.dest == field)
    };
    if !patched("url") {
        NatsServer::check(path, &action.server)?;
    }
    let subject = &action.subject;
    let bad = |token: &str| token.is_empty() || token == "*" || token == ">";
    if subject.contains(char::is_whitespace) || subject.split('.').any(bad) {
        let message = format!("{subject:?} is not a subject to publish to");
        return Err(FieldError::new(format!("{path}.subject"), message));
    }
    if action.payload.is_empty() {
        return Err(FieldError::new(
            format!("{path}.payload"),
            "must not be empty",
        ));
    }
    for (index, parameter) in action.payload.iter().enumerate() {
        let source = parameter.src.as_ref();
        if source.is_none_or(|source| source.dependency_name.is_empty()) {
            let path = format!("{path}.payload[{index}].src.dependencyName");
            return Err(FieldError::new(path, "must not be empty"));
        }
    }
    Ok(())
}

/// The action with its own parameters applied. The subject stays, as upstream.
fn patched(action: &NatsTrigger, firing: &Firing) -> Result<NatsTrigger, TriggerError> {
    if action.parameters.is_empty() {
        return Ok(action.clone());
    }
    let document = serde_json::to_value(action).unwrap_or(Value::Null);
    let document = parameter::apply(document, &action.parameters, firing.inputs())?;
    let mut patched: NatsTrigger = decode("nats", &document)?;
    patched.subject.clone_from(&action.subject);
    Ok(patched)
}

/// What would be published.
pub(super) fn preview(action: &NatsTrigger, firing: &Firing) -> Result<Value, TriggerError> {
    let action = patched(action, firing)?;
    let server = NatsServer::check("nats", &action.server)?;
    let body = parameter::payload(&action.payload, firing.inputs())?;
    let text = String::from_utf8_lossy(&body);
    let payload = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
    Ok(json!({ "nats": { "url": server.url, "subject": action.subject, "payload": payload } }))
}

impl Executor {
    pub(super) async fn publish(
        &self,
        action: &NatsTrigger,
        firing: &Firing,
    ) -> Result<(), TriggerError> {
        let action = patched(action, firing)?;
        let server = NatsServer::check("nats", &action.server)?;
        let mut values = Vec::new();
        for (_, key) in &server.secrets {
            let value = self.secrets.needed_secret(&firing.sensor.namespace, key);
            values.push(Secret::from(value.await?));
        }
        let body = parameter::payload(&action.payload, firing.inputs())?;
        let client = self.nats.get(&server, values).await?;
        let publish = async {
            let subject = action.subject.clone();
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", firing.id.as_str());
            client
                .publish_with_headers(subject, headers, body.into())
                .await
                .map_err(|error| server.failed(&error))?;
            // Until then the message is in a buffer of this process.
            client.flush().await.map_err(|error| server.failed(&error))
        };
        match tokio::time::timeout(DEADLINE, publish).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(server.failed("no answer in time").into()),
        }
    }
}
