//! The awsLambda trigger: invokes a function with keys from Secrets.
//!
//! Without keys upstream takes the role of the Sensor's pod. Here there is no such pod, and the role of the
//! controller is not for tenants, so keys are required.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use reconcile_core::{aws::domain, object::FieldError};
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
    aws,
    http_client::{Call, finish},
    sensor::parameter,
    tls::TlsSettings,
};

/// For one invocation; a function may run for 15 minutes, an action for 10.
const DEADLINE: Duration = Duration::from_secs(590);
const INVOCATION_TYPE: HeaderName = HeaderName::from_static("x-amz-invocation-type");

/// Invokes a function.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsLambdaTrigger {
    /// Name or ARN.
    pub function_name: String,
    /// Id of the access key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key: Option<KeySelector>,
    /// The secret of the access key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<KeySelector>,
    /// For example `eu-central-1`.
    pub region: String,
    /// The input of the function, built from the events.
    pub payload: Vec<Parameter>,
    /// Patches of this trigger.
    pub parameters: Vec<Parameter>,
    /// `RequestResponse` (default), `Event` or `DryRun`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocation_type: Option<String>,
    /// A role to assume.
    #[serde(rename = "roleARN", skip_serializing_if = "Option::is_none")]
    pub role_arn: Option<String>,
}

/// An invocation without its keys.
pub struct LambdaRequest {
    url: Url,
    function: String,
    region: String,
    access_key: KeySelector,
    secret_key: KeySelector,
    role: String,
    invocation: &'static str,
    body: Bytes,
}

/// Checks fields that become part of a URL; the error names the field below `path`.
fn checked_names(path: &str, trigger: &AwsLambdaTrigger) -> Result<(), FieldError> {
    let plain = |text: &str, more: &str| {
        !text.is_empty()
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || more.contains(c))
    };
    if !plain(&trigger.function_name, "-_:$") {
        let message = format!("{:?} is not a name or ARN", trigger.function_name);
        return Err(FieldError::new(format!("{path}.functionName"), message));
    }
    if !plain(&trigger.region, "-") {
        let message = format!("{:?} is not a region", trigger.region);
        return Err(FieldError::new(format!("{path}.region"), message));
    }
    Ok(())
}

fn invocation(path: &str, trigger: &AwsLambdaTrigger) -> Result<&'static str, FieldError> {
    Ok(
        match trigger.invocation_type.as_deref().unwrap_or_default() {
            "" | "RequestResponse" => "RequestResponse",
            "Event" => "Event",
            "DryRun" => "DryRun",
            other => {
                let message = format!("{other:?} is not RequestResponse, Event or DryRun");
                return Err(FieldError::new(format!("{path}.invocationType"), message));
            }
        },
    )
}

/// The role to assume; empty for none.
fn role(path: &str, trigger: &AwsLambdaTrigger) -> Result<String, FieldError> {
    let role = aws::checked_role(trigger.role_arn.as_deref().unwrap_or_default());
    role.map_err(|reason| FieldError::new(format!("{path}.roleARN"), reason))
}

impl Trigger for AwsLambdaTrigger {
    const KEY: &'static str = "awsLambda";

    type Request = LambdaRequest;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        for (field, key) in [
            ("accessKey", &self.access_key),
            ("secretKey", &self.secret_key),
        ] {
            if key.is_none() {
                let message = "must not be empty: a Sensor has no pod whose role could be used";
                return Err(FieldError::new(format!("{path}.{field}"), message));
            }
        }
        role(path, self)?;
        if self.parameters.is_empty() {
            checked_names(path, self)?;
        }
        invocation(path, self)?;
        check_payload(path, &self.payload)
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<LambdaRequest, TriggerError> {
        let action = patched(self, firing)?;
        checked_names(Self::KEY, &action)?;
        let invocation = invocation(Self::KEY, &action)?;
        let role = role(Self::KEY, &action)?;
        let missing =
            |field: &str| FieldError::new(format!("awsLambda.{field}"), "must not be empty");
        let url = format!(
            "https://lambda.{}.{}/2015-03-31/functions/{}/invocations",
            action.region,
            domain(&action.region),
            action.function_name
        );
        Ok(LambdaRequest {
            url: Url::parse(&url)
                .map_err(|error| FieldError::new("awsLambda.region", error.to_string()))?,
            body: parameter::payload(&action.payload, firing.inputs())?.into(),
            function: action.function_name,
            region: action.region,
            role,
            access_key: action.access_key.ok_or_else(|| missing("accessKey"))?,
            secret_key: action.secret_key.ok_or_else(|| missing("secretKey"))?,
            invocation,
        })
    }

    fn preview(request: &LambdaRequest) -> Value {
        json!({ "awsLambda": {
            "functionName": request.function,
            "region": request.region,
            "invocationType": request.invocation,
            "payload": text_or_json(&request.body),
        } })
    }

    async fn execute(request: LambdaRequest, run: Run<'_>) -> Result<Done, TriggerError> {
        let failed = |reason: String| {
            TriggerError::Failed(format!("function {}: {reason}", request.function))
        };
        let call = signed(&request, run).await?;
        let http = &run.executor.http;
        let client = http.get(&TlsSettings::default())?;
        let answer = http
            .send(&client, call)
            .await
            .map_err(|error| failed(error.to_string()))?;
        let function_error = answer
            .headers()
            .get("x-amz-function-error")
            .and_then(|error| error.to_str().ok())
            .map(str::to_owned);
        let status = finish(answer).await;
        match function_error {
            _ if !run.success.accepts(status) => Err(failed(format!("answered {status}"))),
            // The function has run; upstream does not look at how it ended.
            Some(error) => Ok(Done(format!(
                "function {} answered {status}, which reports the error {error}",
                request.function
            ))),
            None => Ok(Done(format!(
                "function {} answered {status}",
                request.function
            ))),
        }
    }
}

/// An invocation with its signature.
async fn signed(request: &LambdaRequest, run: Run<'_>) -> Result<Call, TriggerError> {
    let (secrets, namespace) = (&run.executor.secrets, &run.firing.sensor.namespace);
    let access = secrets
        .needed_secret(namespace, &request.access_key)
        .await?;
    let secret = secrets
        .needed_secret(namespace, &request.secret_key)
        .await?;
    let service = aws::Service {
        name: "lambda",
        region: &request.region,
    };
    let keys = aws::Keys {
        access: access.expose_secret(),
        secret: secret.expose_secret(),
        session: None,
    };
    let header = HeaderValue::from_static;
    let mut call = Call {
        method: Method::POST,
        url: request.url.clone(),
        headers: HeaderMap::from_iter([
            (header::CONTENT_TYPE, header("application/json")),
            (INVOCATION_TYPE, header(request.invocation)),
        ]),
        body: Some(request.body.clone()),
        timeout: DEADLINE,
    };
    let signer = run.executor.signers.signer(&service, &keys, &request.role);
    signer.sign(&mut call).await?;
    Ok(call)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::stage::{Server, Stage};

    fn trigger() -> AwsLambdaTrigger {
        let value = json!({
            "functionName": "hello", "region": "eu-central-1", "invocationType": "Event",
            "accessKey": {"name": "s", "key": "access"}, "secretKey": {"name": "s", "key": "secret"},
            "payload": [{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "name"}],
        });
        serde_json::from_value(value).expect("a trigger")
    }

    async fn invoke(stage: &Stage, server: &Server) -> Result<Done, TriggerError> {
        let mut request = trigger().resolve(&stage.firing)?;
        let path = request.url.path().to_owned();
        request.url = Url::parse(&server.url).expect("a URL");
        request.url.set_path(&path);
        AwsLambdaTrigger::execute(request, stage.run()).await
    }

    #[tokio::test]
    async fn an_invocation_is_signed_with_the_keys_and_fails_by_its_status() {
        let stage = Stage::with_secret(&json!({"access": "QUtJRA==", "secret": "aHVzaA=="}));
        let server = Server::answering(202, &[], "").await;
        let done = invoke(&stage, &server).await.expect("invoked");
        assert_eq!(done.0, "function hello answered 202");
        let got = server.requests().pop().expect("one request");
        assert_eq!(got.path, "/2015-03-31/functions/hello/invocations");
        assert_eq!(got.json(), json!({"name": "x"}));
        assert_eq!(got.headers["x-amz-invocation-type"], "Event");
        let signature = got.headers["authorization"].to_str().expect("text");
        assert!(
            signature.starts_with("AWS4-HMAC-SHA256 Credential=AKID/"),
            "{signature}"
        );
        assert!(
            signature.contains("/eu-central-1/lambda/aws4_request"),
            "{signature}"
        );
        let server = Server::answering(429, &[], "").await;
        let error = invoke(&stage, &server).await.expect_err("throttled");
        assert_eq!(error.to_string(), "function hello: answered 429");
        let server = Server::answering(200, &[("x-amz-function-error", "Unhandled")], "{}").await;
        let done = invoke(&stage, &server).await.expect("invoked");
        assert!(
            done.0.ends_with("reports the error Unhandled"),
            "{}",
            done.0
        );
    }

    #[tokio::test]
    async fn a_role_is_assumed_with_the_keys_once_for_many_invocations() {
        let mut stage = Stage::with_secret(&json!({"access": "QUtJRA==", "secret": "aHVzaA=="}));
        let session = "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIAEXAMPLE000000000</AccessKeyId>\
                       <SecretAccessKey>k</SecretAccessKey><SessionToken>sessiontoken</SessionToken>\
                       <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult>\
                       </AssumeRoleResponse>";
        let sts = Server::answering(200, &[], session).await;
        let at = sts.url.clone();
        stage.executor.signers = aws::AwsSigners::new(std::sync::Arc::new(move |name: &str| {
            (name == "AWS_ENDPOINT_URL_STS").then(|| at.clone())
        }));
        let server = Server::answering(202, &[], "").await;
        for _ in 0..2 {
            let mut trigger = trigger();
            trigger.role_arn = Some("arn:aws:iam::123456789012:role/shop".into());
            Trigger::check(&mut trigger, "t").expect("good");
            let mut request = trigger.resolve(&stage.firing).expect("resolved");
            request.url = Url::parse(&server.url).expect("a URL");
            AwsLambdaTrigger::execute(request, stage.run())
                .await
                .expect("invoked");
        }
        let asked = sts.requests();
        assert_eq!(asked.len(), 1);
        let signature = asked[0].headers["authorization"].to_str().expect("text");
        assert!(signature.contains("Credential=AKID/"), "{signature}");
        assert!(asked[0].path.contains("role%2Fshop"), "{}", asked[0].path);
        for got in server.requests() {
            assert_eq!(got.headers["x-amz-security-token"], "sessiontoken");
        }
    }

    #[test]
    fn keys_are_required_and_names_cannot_leave_their_place_in_the_url() {
        let problem = |change: fn(&mut AwsLambdaTrigger)| {
            let mut trigger = trigger();
            change(&mut trigger);
            let refused = Trigger::check(&mut trigger, "t").expect_err("refused");
            refused.path
        };
        assert_eq!(problem(|t| t.access_key = None), "t.accessKey");
        assert_eq!(
            problem(|t| t.function_name = "a/../b".into()),
            "t.functionName"
        );
        assert_eq!(problem(|t| t.region = "eu.evil.org/".into()), "t.region");
        assert_eq!(
            problem(|t| t.invocation_type = Some("Later".into())),
            "t.invocationType"
        );
        assert_eq!(
            problem(|t| t.role_arn = Some("arn:aws:iam::1:user/x".into())),
            "t.roleARN"
        );
        assert_eq!(problem(|t| t.payload.clear()), "t.payload");
    }
}
