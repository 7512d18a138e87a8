//! The azureServiceBus trigger: a message to a queue or topic of Azure Service Bus.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use reconcile_core::object::FieldError;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Done, Firing, Run, Trigger, TriggerError,
    azure_send::Message,
    http::tls_settings,
    kind::{check_payload, patched, required, text_or_json},
};
use crate::{
    api::{KeySelector, TlsConfig, trigger::Parameter},
    azure::Namespace,
    sensor::parameter,
};

/// Sends a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AzureServiceBusTrigger {
    /// Address and key of the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_string: Option<KeySelector>,
    /// The queue.
    pub queue_name: String,
    /// The topic, where there is no queue.
    pub topic_name: String,
    /// Of who reads the topic; without effect here.
    pub subscription_name: String,
    /// TLS settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// The message, built from the events.
    pub payload: Vec<Parameter>,
    /// Patches of this trigger.
    pub parameters: Vec<Parameter>,
}

/// A message without the key.
pub struct ServiceBusMessage {
    connection_string: KeySelector,
    entity: String,
    id: String,
    tls: Option<TlsConfig>,
    body: Bytes,
}

impl AzureServiceBusTrigger {
    fn connection_string(&self, path: &str) -> Result<&KeySelector, FieldError> {
        required(path, "connectionString", self.connection_string.as_ref())
    }

    fn entity(&self, path: &str) -> Result<&str, FieldError> {
        let names = [&self.queue_name, &self.topic_name];
        let name = names.into_iter().find(|name| !name.is_empty());
        let missing = || {
            FieldError::new(
                format!("{path}.queueName"),
                "queueName or topicName must not be empty",
            )
        };
        name.map(String::as_str).ok_or_else(missing)
    }
}

impl Trigger for AzureServiceBusTrigger {
    const KEY: &'static str = "azureServiceBus";

    type Request = ServiceBusMessage;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        self.connection_string(path)?;
        if self.parameters.is_empty() {
            self.entity(path)?;
        }
        check_payload(path, &self.payload)
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<ServiceBusMessage, TriggerError> {
        let action = patched(self, firing)?;
        Ok(ServiceBusMessage {
            entity: action.entity(Self::KEY)?.to_owned(),
            connection_string: action.connection_string(Self::KEY)?.clone(),
            id: firing.id.clone(),
            tls: action.tls,
            body: parameter::payload(&action.payload, firing.inputs())?.into(),
        })
    }

    fn preview(request: &ServiceBusMessage) -> Value {
        json!({ "azureServiceBus": {
            "entity": request.entity,
            "payload": text_or_json(&request.body),
        } })
    }

    async fn execute(request: ServiceBusMessage, run: Run<'_>) -> Result<Done, TriggerError> {
        let (secrets, namespace) = (&run.executor.secrets, &run.firing.sensor.namespace);
        let text = secrets
            .needed_secret(namespace, &request.connection_string)
            .await?;
        let server = Namespace::parse(text.expose_secret())
            .map_err(|error| TriggerError::Failed(error.to_string()))?;
        secrets.read_login(&server.key_name, server.key.expose_secret());
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        // The same for each try, so that a queue that looks for duplicates keeps one.
        let properties = json!({"MessageId": request.id}).to_string();
        if let Ok(properties) = HeaderValue::from_str(&properties) {
            headers.insert("brokerproperties", properties);
        }
        let message = Message {
            namespace: &server,
            entity: &request.entity,
            headers,
            body: request.body,
            tls: tls_settings(request.tls.as_ref(), run).await?,
        };
        message.send(run).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::stage::{Server, Stage};

    fn trigger() -> AzureServiceBusTrigger {
        let value = json!({
            "connectionString": {"name": "s", "key": "connection"}, "queueName": "orders",
            "payload": [{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "name"}],
        });
        serde_json::from_value(value).expect("a trigger")
    }

    async fn send(status: u16) -> (Result<String, String>, Server) {
        use base64::prelude::{BASE64_STANDARD, Engine as _};
        let server = Server::answering(status, &[], "hushkey").await;
        let endpoint = server.url.replace("http://", "sb://");
        let text = format!(
            "Endpoint={endpoint};SharedAccessKeyName=send;SharedAccessKey=hushkey;UseDevelopmentEmulator=true"
        );
        let stage = Stage::with_secret(&json!({"connection": BASE64_STANDARD.encode(text)}));
        let request = trigger().resolve(&stage.firing).expect("resolved");
        let done = AzureServiceBusTrigger::execute(request, stage.run()).await;
        (
            done.map(|done| done.0).map_err(|error| error.to_string()),
            server,
        )
    }

    #[tokio::test]
    async fn a_message_is_signed_and_has_the_id_of_its_firing() {
        let (done, server) = send(201).await;
        assert_eq!(done.expect("sent"), "orders answered 201");
        let got = server.requests().pop().expect("one request");
        assert_eq!(got.path, "/orders/messages");
        assert_eq!(got.json(), json!({"name": "x"}));
        assert_eq!(got.headers["brokerproperties"], "{\"MessageId\":\"f\"}");
        let signature = got.headers["authorization"].to_str().expect("text");
        assert!(
            signature.starts_with("SharedAccessSignature sr=http%3A%2F%2F127.0.0.1"),
            "{signature}"
        );
        assert!(
            signature.contains("%2Forders&sig=") && signature.ends_with("&skn=send"),
            "{signature}"
        );
        let (refused, _) = send(401).await;
        assert_eq!(refused.expect_err("refused"), "orders: answered 401");
    }

    #[tokio::test]
    async fn a_connection_string_that_is_none_is_not_quoted() {
        let stage = Stage::with_secret(&json!({"connection": "aHVzaHdvcmQ="}));
        let request = trigger().resolve(&stage.firing).expect("resolved");
        let error = AzureServiceBusTrigger::execute(request, stage.run()).await;
        let error = error.expect_err("no connection string").to_string();
        assert_eq!(error, "the connection string has no Endpoint");
        let mut nameless = trigger();
        nameless.queue_name.clear();
        let error = Trigger::check(&mut nameless, "t").expect_err("no queue");
        assert_eq!(error.path, "t.queueName");
    }
}
