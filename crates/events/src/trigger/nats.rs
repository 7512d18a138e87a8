//! The nats trigger: publishes to a subject. Core NATS confirms nothing: the trigger is successful when the message was
//! written to a connection. With `jetstream` it is when a stream has stored the message. A JetStream that stores the
//! subject drops repetitions by the id of the message in both cases.

use std::{collections::HashMap, error::Error, sync::Arc};

use async_nats::{Client, HeaderMap, jetstream};
use bytes::Bytes;
use parking_lot::Mutex;
use reconcile_core::{egress::EgressPolicy, object::FieldError, secret::Secret};
use serde_json::{Value, json};

use super::{
    Done, Firing, Run, Trigger, TriggerError,
    kind::{check_payload, patched, text_or_json},
};
use crate::{
    api::trigger::{NatsTrigger, Parameter},
    nats::{DEADLINE, NatsError, NatsServer},
    nats_client::GuardedClient,
    sensor::parameter,
};

/// Connections that are kept; beyond that number all are dropped, and made again when needed.
const MOST: usize = 64;

/// Connections by server and credentials. Clones share them.
#[derive(Clone)]
pub struct NatsClients {
    clients: Arc<Mutex<HashMap<String, Connected>>>,
    egress: EgressPolicy,
}

/// The connection with these credentials.
type Connected = (Vec<Secret>, GuardedClient);

impl NatsClients {
    /// Connections to the addresses that `egress` permits.
    pub fn new(egress: EgressPolicy) -> Self {
        Self {
            clients: Arc::default(),
            egress,
        }
    }

    async fn get(
        &self,
        server: &NatsServer,
        values: Vec<Secret>,
    ) -> Result<GuardedClient, NatsError> {
        // Without the values, which are compared and never printed.
        let id = format!("{server:?}");
        if let Some((known, client)) = self.clients.lock().get(&id)
            && *known == values
        {
            return Ok(client.clone());
        }
        let connecting = server.connect(&values, self.egress, |options| options);
        let client = connecting.await?;
        let mut clients = self.clients.lock();
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

/// A message without the values of Secrets.
pub struct NatsRequest {
    server: NatsServer,
    subject: String,
    body: Bytes,
    /// A stream confirms it.
    confirmed: bool,
}

impl Trigger for NatsTrigger {
    const KEY: &'static str = "nats";

    type Request = NatsRequest;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        if self.parameters.iter().all(|patch| patch.dest != "url") {
            NatsServer::check(path, &self.server)?;
        }
        let subject = &self.subject;
        let bad = |token: &str| token.is_empty() || token == "*" || token == ">";
        if subject.contains(char::is_whitespace) || subject.split('.').any(bad) {
            let message = format!("{subject:?} is not a subject to publish to");
            return Err(FieldError::new(format!("{path}.subject"), message));
        }
        check_payload(path, &self.payload)
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<NatsRequest, TriggerError> {
        let action = patched(self, firing)?;
        Ok(NatsRequest {
            server: NatsServer::check("nats", &action.server)?,
            // Parameters do not change it, as upstream.
            subject: self.subject.clone(),
            body: parameter::payload(&action.payload, firing.inputs())?.into(),
            confirmed: action.jetstream.is_some(),
        })
    }

    fn preview(request: &NatsRequest) -> Value {
        json!({ "nats": {
            "url": request.server.url,
            "subject": request.subject,
            "jetstream": request.confirmed,
            "payload": text_or_json(&request.body),
        } })
    }

    async fn execute(request: NatsRequest, run: Run<'_>) -> Result<Done, TriggerError> {
        let NatsRequest {
            server,
            subject,
            body,
            confirmed,
        } = request;
        let mut values = Vec::new();
        for (_, key) in &server.secrets {
            let secrets = &run.executor.secrets;
            let value = secrets.needed_secret(&run.firing.sensor.namespace, key);
            values.push(Secret::from(value.await?));
        }
        let client = run.executor.nats.get(&server, values).await?;
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", run.firing.id.as_str());
        let message = Message {
            subject,
            headers,
            body,
        };
        let publish = async {
            if confirmed {
                store(&server, &client, message).await
            } else {
                send(&server, &client, message).await
            }
        };
        match tokio::time::timeout(DEADLINE, publish).await {
            Ok(published) => Ok(published?),
            Err(_) => Err(server.failed("no answer in time").into()),
        }
    }
}

struct Message {
    subject: String,
    headers: HeaderMap,
    body: Bytes,
}

/// Publishes to core NATS.
async fn send(
    server: &NatsServer,
    client: &GuardedClient,
    message: Message,
) -> Result<Done, NatsError> {
    let done = Done(format!("{} {} published", server.url, message.subject));
    client
        .publish_with_headers(message.subject, message.headers, message.body)
        .await
        .map_err(|error| server.failed(&error))?;
    // Until then the message is in a buffer of this process.
    client
        .flush()
        .await
        .map_err(|error| server.failed(&error))?;
    Ok(done)
}

/// Publishes to JetStream, and waits until a stream has stored the message.
async fn store(
    server: &NatsServer,
    client: &GuardedClient,
    message: Message,
) -> Result<Done, NatsError> {
    let context = jetstream::new(Client::clone(client));
    let subject = message.subject.clone();
    let failed = |error: jetstream::context::PublishError| {
        // The reason of the server is behind the kind of the error.
        let reason = error
            .source()
            .map_or_else(String::new, |why| format!(": {why}"));
        server.failed(&format!(
            "{subject} is not stored by a stream: {error}{reason}"
        ))
    };
    let sent = context
        .publish_with_headers(message.subject, message.headers, message.body)
        .await
        .map_err(&failed)?;
    let stored = sent.await.map_err(&failed)?;
    Ok(Done(format!(
        "{} {subject} stored in stream {} as {}",
        server.url, stored.stream, stored.sequence
    )))
}
