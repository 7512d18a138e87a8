//! The azureEventHubs trigger: an event to a hub of Azure Event Hubs.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use reconcile_core::object::FieldError;
use reqwest::Url;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Done, Firing, Run, Trigger, TriggerError,
    azure_send::Message,
    kind::{check_payload, patched, required, text_or_json},
};
use crate::{
    api::{KeySelector, trigger::Parameter},
    azure::Namespace,
    http_client::address,
    sensor::parameter,
    tls::TlsSettings,
};

/// Sends an event.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AzureEventHubsTrigger {
    /// Host of the namespace.
    pub fqdn: String,
    /// The hub.
    pub hub_name: String,
    /// Name of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_access_key_name: Option<KeySelector>,
    /// The key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_access_key: Option<KeySelector>,
    /// The event, built from the events.
    pub payload: Vec<Parameter>,
    /// Patches of this trigger.
    pub parameters: Vec<Parameter>,
}

/// An event without the key.
pub struct HubEvent {
    address: Url,
    hub: String,
    key_name: KeySelector,
    key: KeySelector,
    body: Bytes,
}

impl AzureEventHubsTrigger {
    /// Name of the key, and the key.
    fn keys(&self, path: &str) -> Result<(KeySelector, KeySelector), FieldError> {
        let name = self.shared_access_key_name.as_ref();
        let name = required(path, "sharedAccessKeyName", name)?;
        let key = required(path, "sharedAccessKey", self.shared_access_key.as_ref())?;
        Ok((name.clone(), key.clone()))
    }

    fn address(&self, path: &str) -> Result<Url, FieldError> {
        if self.hub_name.is_empty() {
            return Err(FieldError::new(
                format!("{path}.hubName"),
                "must not be empty",
            ));
        }
        let wrong = || {
            FieldError::new(
                format!("{path}.fqdn"),
                format!("{:?} is not a host", self.fqdn),
            )
        };
        address(&self.fqdn, true).ok_or_else(wrong)
    }
}

impl Trigger for AzureEventHubsTrigger {
    const KEY: &'static str = "azureEventHubs";

    type Request = HubEvent;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        self.keys(path)?;
        if self.parameters.is_empty() {
            self.address(path)?;
        }
        check_payload(path, &self.payload)
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<HubEvent, TriggerError> {
        let action = patched(self, firing)?;
        let (key_name, key) = action.keys(Self::KEY)?;
        Ok(HubEvent {
            address: action.address(Self::KEY)?,
            body: parameter::payload(&action.payload, firing.inputs())?.into(),
            hub: action.hub_name,
            key_name,
            key,
        })
    }

    fn preview(request: &HubEvent) -> Value {
        json!({ "azureEventHubs": {
            "fqdn": request.address.host_str(),
            "hubName": request.hub,
            "payload": text_or_json(&request.body),
        } })
    }

    async fn execute(request: HubEvent, run: Run<'_>) -> Result<Done, TriggerError> {
        let (secrets, namespace) = (&run.executor.secrets, &run.firing.sensor.namespace);
        let key_name = secrets.needed_secret(namespace, &request.key_name).await?;
        let server = Namespace {
            address: request.address,
            key_name: key_name.expose_secret().to_owned(),
            key: secrets.needed_secret(namespace, &request.key).await?,
        };
        let mut headers = HeaderMap::new();
        // The type that the service asks for, whatever the event is.
        let type_ = HeaderValue::from_static("application/atom+xml;type=entry;charset=utf-8");
        headers.insert(header::CONTENT_TYPE, type_);
        let message = Message {
            namespace: &server,
            entity: &request.hub,
            headers,
            body: request.body,
            tls: TlsSettings::default(),
        };
        message.send(run).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::stage::{Server, Stage};

    fn trigger() -> AzureEventHubsTrigger {
        let value = json!({
            "fqdn": "shop.servicebus.windows.net", "hubName": "orders",
            "sharedAccessKeyName": {"name": "s", "key": "name"}, "sharedAccessKey": {"name": "s", "key": "key"},
            "payload": [{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "name"}],
        });
        serde_json::from_value(value).expect("a trigger")
    }

    #[tokio::test]
    async fn an_event_is_signed_and_fails_by_its_status() {
        let stage = Stage::with_secret(&json!({"name": "c2VuZA==", "key": "aHVzaGtleQ=="}));
        for (status, outcome) in [
            (201, Ok("orders answered 201")),
            (429, Err("orders: answered 429")),
        ] {
            let server = Server::answering(status, &[], "").await;
            let mut request = trigger().resolve(&stage.firing).expect("resolved");
            assert_eq!(
                request.address.as_str(),
                "https://shop.servicebus.windows.net/"
            );
            request.address = Url::parse(&server.url).expect("a URL");
            let done = AzureEventHubsTrigger::execute(request, stage.run()).await;
            let done = done.map(|done| done.0).map_err(|error| error.to_string());
            assert_eq!(done, outcome.map(str::to_owned).map_err(str::to_owned));
            let got = server.requests().pop().expect("one request");
            assert_eq!(got.path, "/orders/messages");
            assert_eq!(got.json(), json!({"name": "x"}));
            let signature = got.headers["authorization"].to_str().expect("text");
            assert!(signature.ends_with("&skn=send"), "{signature}");
        }
    }

    #[test]
    fn a_host_that_is_none_and_missing_keys_are_refused() {
        let problem = |change: fn(&mut AzureEventHubsTrigger)| {
            let mut trigger = trigger();
            change(&mut trigger);
            Trigger::check(&mut trigger, "t").expect_err("refused").path
        };
        assert_eq!(problem(|t| t.fqdn = "h/path".into()), "t.fqdn");
        assert_eq!(problem(|t| t.fqdn = "u:p@h".into()), "t.fqdn");
        assert_eq!(problem(|t| t.hub_name.clear()), "t.hubName");
        assert_eq!(problem(|t| t.shared_access_key = None), "t.sharedAccessKey");
        assert_eq!(problem(|t| t.payload.clear()), "t.payload");
    }
}
