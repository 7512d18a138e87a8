//! The custom trigger: a service of the user's own, called by gRPC. It fetches what is to be done, does it, and says
//! whether that succeeded.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use reconcile_core::{object::FieldError, secret::Secret};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tonic::Status;

use super::{
    Done, Firing, Run, Trigger, TriggerError,
    kind::{check_sources, required, text_or_json},
};
use crate::{
    api::{KeySelector, trigger::Parameter},
    grpc::{GrpcClient, GrpcServer, words},
    sensor::parameter,
    source::{
        kind::{Input, SourceError},
        server::{CA, ServerTls},
    },
};

/// Each of the three calls is answered within this time.
const DEADLINE: Duration = Duration::from_secs(180);

const FETCH: &str = "/triggers.Trigger/FetchResource";
const EXECUTE: &str = "/triggers.Trigger/Execute";
const POLICY: &str = "/triggers.Trigger/ApplyPolicy";

/// Calls a service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct CustomTrigger {
    /// `HOST:PORT`
    #[serde(rename = "serverURL", skip_serializing_if = "Option::is_none")]
    server_url: Option<String>,
    /// With TLS.
    secure: bool,
    /// Certificate to trust, PEM; those of the system when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    cert_secret: Option<KeySelector>,
    /// Name that the certificate has instead of the host.
    server_name_override: String,
    /// What the service needs to know.
    spec: BTreeMap<String, String>,
    /// Patches of what the service fetched.
    parameters: Vec<Parameter>,
    /// What is sent beside it, built from the events.
    payload: Vec<Parameter>,
}

/// A call before anything is fetched.
pub(super) struct CustomRequest {
    server: GrpcServer,
    certificate: Option<KeySelector>,
    spec: BTreeMap<String, String>,
    parameters: Vec<Parameter>,
    payload: Vec<u8>,
}

/// Bytes in, for each of the three methods.
#[derive(Clone, PartialEq, prost::Message)]
struct Question {
    #[prost(bytes = "bytes", tag = "1")]
    resource: Bytes,
    /// Of `Execute` only.
    #[prost(bytes = "bytes", tag = "2")]
    payload: Bytes,
}

/// Bytes out, for `FetchResource` and `Execute`.
#[derive(Clone, PartialEq, prost::Message)]
struct Answer {
    #[prost(bytes = "bytes", tag = "1")]
    bytes: Bytes,
}

/// What the service thinks of what it did.
#[derive(Clone, PartialEq, prost::Message)]
struct Verdict {
    #[prost(bool, tag = "1")]
    success: bool,
    #[prost(string, tag = "2")]
    message: String,
}

impl CustomTrigger {
    fn server(&self, path: &str) -> Result<GrpcServer, FieldError> {
        let url = self.server_url.as_ref().filter(|url| !url.is_empty());
        let url = required(path, "serverURL", url)?;
        let input = Input {
            path,
            value: &Value::Null,
        };
        let tls = self
            .secure
            .then(|| ServerTls::trusting(self.cert_secret.clone()));
        let name = Some(self.server_name_override.clone());
        GrpcServer::check(&input, ("serverURL", url), tls, name)
    }
}

impl Trigger for CustomTrigger {
    const KEY: &'static str = "custom";

    type Request = CustomRequest;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        self.server(path)?;
        check_sources(&format!("{path}.payload"), &self.payload)?;
        check_sources(&format!("{path}.parameters"), &self.parameters)
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<CustomRequest, TriggerError> {
        let payload = match self.payload.as_slice() {
            [] => Vec::new(),
            payload => parameter::payload(payload, firing.inputs())?,
        };
        Ok(CustomRequest {
            server: self.server(Self::KEY)?,
            certificate: self.cert_secret.clone().filter(|_| self.secure),
            spec: self.spec.clone(),
            parameters: self.parameters.clone(),
            payload,
        })
    }

    fn preview(request: &CustomRequest) -> Value {
        let mut shown = json!({
            "serverURL": request.server.server.address,
            "spec": request.spec,
        });
        if !request.payload.is_empty() {
            shown["payload"] = text_or_json(&request.payload);
        }
        if !request.parameters.is_empty() {
            shown["note"] = json!("the parameters are applied to what the service fetches");
        }
        json!({ "custom": shown })
    }

    async fn execute(mut request: CustomRequest, run: Run<'_>) -> Result<Done, TriggerError> {
        let payload = std::mem::take(&mut request.payload);
        let service = Service::connect(&request, run).await?;
        let question = Question {
            resource: yaml(&request.spec).into(),
            payload: Bytes::new(),
        };
        let fetched: Answer = service.ask(FETCH, question).await?;
        let question = Question {
            resource: patched(fetched.bytes, &request.parameters, run.firing)?,
            payload: payload.into(),
        };
        let executed: Answer = service.ask(EXECUTE, question).await?;
        let question = Question {
            resource: executed.bytes,
            payload: Bytes::new(),
        };
        let verdict: Verdict = service.ask(POLICY, question).await?;
        let message = service.excerpt(verdict.message);
        Ok(judged(service.address, verdict.success, &message))
    }
}

/// What was done by the word of `ApplyPolicy`. Upstream notes `success` and fails for none, and services rely on that:
/// one that leaves the field out would have its event tried again.
fn judged(address: &str, success: bool, message: &str) -> Done {
    let verdict = if success { "success" } else { "no success" };
    Done(format!("{address} reports {verdict}: {message}"))
}

/// A service that is connected.
struct Service<'r> {
    client: GrpcClient,
    address: &'r str,
    run: Run<'r>,
}

impl<'r> Service<'r> {
    async fn connect(request: &'r CustomRequest, run: Run<'r>) -> Result<Self, TriggerError> {
        let (secrets, namespace) = (&run.executor.secrets, &run.firing.sensor.namespace);
        let mut certificate: Option<Secret> = None;
        if let Some(key) = &request.certificate {
            certificate = Some(secrets.needed_secret(namespace, key).await?.into());
        }
        let egress = run.executor.http.egress();
        let trusted = |field: &str| certificate.clone().filter(|_| field == CA);
        let connecting = request.server.connect(egress, trusted);
        let client = connecting.await.map_err(|error| match error {
            SourceError::Tls(error) => TriggerError::Failed(format!("certSecret: {error}")),
            error => error.into(),
        })?;
        Ok(Self {
            client,
            address: &request.server.server.address,
            run,
        })
    }

    async fn ask<A>(&self, method: &'static str, question: Question) -> Result<A, TriggerError>
    where
        A: prost::Message + Default + 'static,
    {
        let asked = self.client.call(method, question, DEADLINE).await;
        asked.map_err(|status: Status| {
            let name = method.rsplit('/').next().unwrap_or(method);
            let reason = self.excerpt(words(&status));
            self.failed(&format!("{name}: {reason}"))
        })
    }

    fn excerpt(&self, text: String) -> String {
        self.run.executor.secrets.excerpt(text)
    }

    fn failed(&self, reason: &str) -> TriggerError {
        TriggerError::Failed(format!("{}: {reason}", self.address))
    }
}

/// A map of texts in YAML; the quotes of JSON mean the same there.
fn yaml(spec: &BTreeMap<String, String>) -> String {
    if spec.is_empty() {
        return "{}\n".to_owned();
    }
    let lines = spec
        .iter()
        .map(|(name, text)| format!("{}: {}\n", json!(name), json!(text)));
    lines.collect()
}

/// What the service fetched, with parameters applied if it is a JSON object.
fn patched(
    fetched: Bytes,
    parameters: &[Parameter],
    firing: &Firing,
) -> Result<Bytes, TriggerError> {
    if parameters.is_empty() {
        return Ok(fetched);
    }
    let object: Map<String, Value> = serde_json::from_slice(&fetched).map_err(|error| {
        TriggerError::Failed(format!(
            "what FetchResource answered is not a JSON object, so parameters cannot be applied: {error}"
        ))
    })?;
    let patched = parameter::apply(Value::Object(object), parameters, firing.inputs())?;
    Ok(patched.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_without_success_is_noted_and_fails_nothing() {
        let done = judged("s:1", false, "still red");
        assert_eq!(done, Done("s:1 reports no success: still red".to_owned()));
    }
}
