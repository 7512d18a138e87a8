//! The nats trigger: publishes to a core NATS subject, which confirms nothing: successful when the message was written
//! to a connection. A JetStream that stores the subject drops repetitions by the id of the message.

use std::{collections::HashMap, sync::Arc};

use async_nats::HeaderMap;
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
        })
    }

    fn preview(request: &NatsRequest) -> Value {
        json!({ "nats": {
            "url": request.server.url,
            "subject": request.subject,
            "payload": text_or_json(&request.body),
        } })
    }

    async fn execute(request: NatsRequest, run: Run<'_>) -> Result<Done, TriggerError> {
        let NatsRequest {
            server,
            subject,
            body,
        } = request;
        let mut values = Vec::new();
        for (_, key) in &server.secrets {
            let secrets = &run.executor.secrets;
            let value = secrets.needed_secret(&run.firing.sensor.namespace, key);
            values.push(Secret::from(value.await?));
        }
        let client = run.executor.nats.get(&server, values).await?;
        let done = Done(format!("{} {subject} published", server.url));
        let publish = async {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Msg-Id", run.firing.id.as_str());
            client
                .publish_with_headers(subject, headers, body)
                .await
                .map_err(|error| server.failed(&error))?;
            // Until then the message is in a buffer of this process.
            client.flush().await.map_err(|error| server.failed(&error))
        };
        match tokio::time::timeout(DEADLINE, publish).await {
            Ok(published) => {
                published?;
                Ok(done)
            }
            Err(_) => Err(server.failed("no answer in time").into()),
        }
    }
}
