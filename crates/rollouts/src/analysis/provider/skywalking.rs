//! `SkyWalking`: a GraphQL query.

use std::time::Duration;

use expressions::{
    analysis::AnalysisValue,
    go_text::json::{COMPACT, to_string},
};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use reconcile_core::object::FieldError;
use serde_json::{Value, json};

use super::{
    MetricProvider, Reading, Step, Task,
    checks::{self, filled},
    error::ProviderError,
    http::{Call, Reply},
};
use crate::api::analysis::{Provider, SkyWalking};

/// Time that a query may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Queries of `SkyWalking`.
pub(super) struct SkyWalkingProvider;

impl MetricProvider for SkyWalkingProvider {
    fn name(&self) -> &'static str {
        "skywalking"
    }

    fn check(&self, spec: &Provider) -> Result<(), FieldError> {
        let Some(spec) = &spec.skywalking else {
            return Ok(());
        };
        let address = checks::required("skywalking.address", spec.address.as_ref())?;
        checks::url("skywalking.address", address)?;
        checks::required("skywalking.query", spec.query.as_ref())?;
        checks::required("skywalking.interval", spec.interval.as_ref())?;
        checks::duration("skywalking.interval", spec.interval.as_ref(), TIMEOUT).map(drop)
    }

    fn deadline(&self, _: &Provider) -> Duration {
        TIMEOUT
    }

    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let spec = task.spec(|provider| provider.skywalking.as_ref())?;
            let call = call(spec, task.now)?;
            let reply = task.tools.http.send(call, task.redactor).await?;
            reading(&reply.success()?).map(Step::Read)
        })
    }
}

fn call(spec: &SkyWalking, now: Timestamp) -> Result<Call, ProviderError> {
    let address = filled(spec.address.as_ref()).unwrap_or_default();
    let server = checks::parse_url(address).map_err(ProviderError::invalid)?;
    let interval = checks::duration("interval", spec.interval.as_ref(), TIMEOUT)
        .map_err(ProviderError::invalid)?;
    let interval = SignedDuration::try_from(interval).unwrap_or(SignedDuration::MAX);
    let start = now.saturating_sub(interval).unwrap_or(Timestamp::MIN);
    let minute = |time: Timestamp| {
        time.to_zoned(TimeZone::UTC)
            .strftime("%Y-%m-%d %H%M")
            .to_string()
    };
    let body = json!({
        "query": spec.query,
        "variables": {
            "duration": { "start": minute(start), "end": minute(now), "step": "MINUTE" },
        },
    });
    Ok(Call::post_json(
        checks::below(server, "graphql"),
        &body,
        TIMEOUT,
    ))
}

fn reading(reply: &Reply) -> Result<Reading, ProviderError> {
    let mut answer: Value = reply.json()?;
    let errors = answer["errors"].as_array().and_then(|all| all.first());
    if let Some(error) = errors {
        let message = error["message"].as_str().unwrap_or("without a message");
        return Err(ProviderError::answer(format!("graphql: {message}")));
    }
    let data = answer["data"].take();
    if data.is_null() {
        let message = "no results returned from SkyWalking query";
        return Err(ProviderError::answer(message));
    }
    let text = to_string(&data, COMPACT);
    Ok(Reading::new(AnalysisValue::Json(data), text))
}
