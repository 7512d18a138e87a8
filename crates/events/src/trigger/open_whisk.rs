//! The openWhisk trigger: invokes an action of Apache `OpenWhisk` and waits for its result.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, header};
use reconcile_core::object::FieldError;
use reqwest::Url;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Done, Firing, Run, Trigger, TriggerError,
    kind::{check_payload, patched, text_or_json},
};
use crate::{
    api::{KeySelector, trigger::Parameter},
    http_client::{Call, basic_auth, finish},
    sensor::parameter,
    tls::TlsSettings,
};

/// The server answers after a minute also when the action is not done.
const DEADLINE: Duration = Duration::from_secs(90);

/// Invokes an action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OpenWhiskTrigger {
    /// Host or URL of the API.
    pub host: String,
    /// Version of the API; `v1` when empty.
    pub version: String,
    /// The namespace of the action; that of the user when empty.
    pub namespace: String,
    /// `USER:PASSWORD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<KeySelector>,
    /// `ACTION` or `PACKAGE/ACTION`.
    pub action_name: String,
    /// The input of the action, built from the events.
    pub payload: Vec<Parameter>,
    /// Patches of this trigger.
    pub parameters: Vec<Parameter>,
}

/// An invocation without its token.
pub struct Invocation {
    url: Url,
    action: String,
    token: Option<KeySelector>,
    body: Bytes,
}

impl OpenWhiskTrigger {
    fn url(&self, path: &str) -> Result<Url, FieldError> {
        let wrong =
            |field: &str, message: String| FieldError::new(format!("{path}.{field}"), message);
        let text = if self.host.contains("://") {
            self.host.clone()
        } else {
            format!("https://{}", self.host)
        };
        let url = Url::parse(&text).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.query().is_none()
        });
        let mut url =
            url.ok_or_else(|| wrong("host", format!("{:?} is not a host or URL", self.host)))?;
        let names: Vec<&str> = self.action_name.split('/').collect();
        if names.len() > 2 || names.iter().any(|name| matches!(*name, "" | "." | "..")) {
            let message = format!("{:?} is not ACTION or PACKAGE/ACTION", self.action_name);
            return Err(wrong("actionName", message));
        }
        let or = |text: &str, default: &'static str| match text {
            "" => default.to_owned(),
            text => text.to_owned(),
        };
        let (version, namespace) = (or(&self.version, "v1"), or(&self.namespace, "_"));
        for (field, name) in [("version", &version), ("namespace", &namespace)] {
            if matches!(name.as_str(), "." | "..") || name.contains('/') {
                return Err(wrong(field, format!("{name:?} is not a name")));
            }
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments
                .pop_if_empty()
                .extend(["api", &version, "namespaces", &namespace, "actions"])
                .extend(names);
        }
        url.set_query(Some("blocking=true&result=true"));
        Ok(url)
    }
}

impl Trigger for OpenWhiskTrigger {
    const KEY: &'static str = "openWhisk";

    type Request = Invocation;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        if self.parameters.is_empty() {
            self.url(path)?;
        }
        check_payload(path, &self.payload)
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<Invocation, TriggerError> {
        let action = patched(self, firing)?;
        Ok(Invocation {
            url: action.url(Self::KEY)?,
            body: parameter::payload(&action.payload, firing.inputs())?.into(),
            action: action.action_name,
            token: action.auth_token,
        })
    }

    fn preview(request: &Invocation) -> Value {
        json!({ "openWhisk": {
            "url": request.url.as_str(),
            "payload": text_or_json(&request.body),
        } })
    }

    async fn execute(request: Invocation, run: Run<'_>) -> Result<Done, TriggerError> {
        let action = &request.action;
        let failed = |reason: String| TriggerError::Failed(format!("action {action}: {reason}"));
        let secrets = &run.executor.secrets;
        let mut headers = HeaderMap::new();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        if let Some(key) = &request.token {
            let token = secrets
                .needed_secret(&run.firing.sensor.namespace, key)
                .await?;
            let token = token.expose_secret();
            let (user, password) = token.split_once(':').unwrap_or((token, ""));
            secrets.read_login(user, password);
            headers.insert(header::AUTHORIZATION, basic_auth(token));
        }
        let call = Call {
            method: Method::POST,
            url: request.url.clone(),
            headers,
            body: Some(request.body.clone()),
            timeout: DEADLINE,
        };
        let http = &run.executor.http;
        let client = http.get(&TlsSettings::default())?;
        let answer = http.send(&client, call).await;
        let answer = answer.map_err(|error| failed(error.to_string()))?;
        let status = finish(answer).await;
        // 202: it runs and its result is not waited for any longer. 502: it failed.
        if run.success.accepts(status) {
            Ok(Done(format!("action {action} answered {status}")))
        } else {
            Err(failed(format!("answered {status}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::stage::{Server, Stage};

    fn trigger(host: &str) -> OpenWhiskTrigger {
        let value = json!({
            "host": host, "actionName": "orders/ship", "authToken": {"name": "s", "key": "token"},
            "payload": [{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "name"}],
        });
        serde_json::from_value(value).expect("a trigger")
    }

    #[tokio::test]
    async fn an_action_is_invoked_with_its_token_and_fails_by_its_status() {
        let stage = Stage::with_secret(&json!({"token": "YW5uOmh1c2g="}));
        for (status, outcome) in [
            (200, Ok("action orders/ship answered 200")),
            (502, Err("action orders/ship: answered 502")),
        ] {
            let server = Server::answering(status, &[], "{\"result\": 1}").await;
            let request = trigger(&server.url)
                .resolve(&stage.firing)
                .expect("resolved");
            let done = OpenWhiskTrigger::execute(request, stage.run()).await;
            let done = done.map(|done| done.0).map_err(|error| error.to_string());
            assert_eq!(done, outcome.map(str::to_owned).map_err(str::to_owned));
            let got = server.requests().pop().expect("one request");
            assert_eq!(
                got.path,
                "/api/v1/namespaces/_/actions/orders/ship?blocking=true&result=true"
            );
            assert_eq!(got.json(), json!({"name": "x"}));
            assert_eq!(got.headers["authorization"], "Basic YW5uOmh1c2g=");
        }
    }

    #[test]
    fn names_cannot_leave_their_place_in_the_url() {
        let problem = |change: fn(&mut OpenWhiskTrigger)| {
            let mut trigger = trigger("whisk.shop");
            change(&mut trigger);
            Trigger::check(&mut trigger, "t").expect_err("refused").path
        };
        assert_eq!(problem(|t| t.host.clear()), "t.host");
        assert_eq!(problem(|t| t.host = "ftp://h".into()), "t.host");
        assert_eq!(problem(|t| t.action_name = "../x".into()), "t.actionName");
        assert_eq!(problem(|t| t.action_name.clear()), "t.actionName");
        assert_eq!(problem(|t| t.namespace = "a/b".into()), "t.namespace");
        assert_eq!(problem(|t| t.payload.clear()), "t.payload");
        let plain = trigger("whisk.shop").url("t").expect("good");
        assert!(plain.as_str().starts_with("https://whisk.shop/api/v1/"));
    }
}
