//! Datadog: time series (v1) and scalars (v2).

mod account;
mod scalar;

use std::time::Duration;

use expressions::analysis::AnalysisValue;
use futures::future::BoxFuture;
use reconcile_core::object::FieldError;
use serde::Deserialize;

use self::account::Account;

use super::{
    MetricProvider, Reading, Step, Task,
    checks::{self, filled},
    error::ProviderError,
    http::{Call, Reply},
    numbers,
};
use crate::api::analysis::{Datadog, Provider};

/// Time that a query may take where the metric says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Length of the window that ends now, where the metric does not set one.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);

/// Queries of Datadog.
pub(super) struct DatadogProvider;

impl MetricProvider for DatadogProvider {
    fn name(&self) -> &'static str {
        "datadog"
    }

    fn check(&self, spec: &Provider) -> Result<(), FieldError> {
        spec.datadog.as_ref().map_or(Ok(()), check)
    }

    fn deadline(&self, spec: &Provider) -> Duration {
        spec.datadog.as_ref().map_or(DEFAULT_TIMEOUT, timeout)
    }

    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let spec = task.spec(|provider| provider.datadog.as_ref())?;
            let account = Account::find(task, spec).await?;
            let call = call(task, spec, &account)?;
            let reply = task.tools.http.send(call, task.redactor).await?;
            let reading = if is_v2(spec) {
                scalar::reading(&accepted(reply)?)
            } else {
                series(&accepted(reply)?)
            };
            reading.map(Step::Read)
        })
    }
}

fn is_v2(spec: &Datadog) -> bool {
    spec.api_version.as_deref() == Some("v2")
}

fn timeout(spec: &Datadog) -> Duration {
    let wanted = checks::duration("", spec.request_timeout.as_ref(), DEFAULT_TIMEOUT);
    checks::bounded(wanted.unwrap_or(DEFAULT_TIMEOUT))
}

fn check(spec: &Datadog) -> Result<(), FieldError> {
    let at = |field: &str, message: &str| Err(FieldError::new(format!("datadog.{field}"), message));
    let query = filled(spec.query.as_ref());
    let formula = filled(spec.formula.as_ref());
    match filled(spec.api_version.as_ref()) {
        None | Some("v1" | "v2") => {}
        Some(_) => return at("apiVersion", "must be v1 or v2"),
    }
    if query.is_none() && spec.queries.is_empty() {
        return at("query", "set either query or queries");
    }
    if query.is_some() && !spec.queries.is_empty() {
        return at("queries", "set either query or queries, not both");
    }
    if !is_v2(spec) && query.is_none() {
        return at(
            "queries",
            "only apiVersion v2 takes queries; set query or apiVersion: v2",
        );
    }
    if formula.is_some() && spec.queries.is_empty() {
        return at("formula", "a formula needs queries");
    }
    if formula.is_none() && spec.queries.len() > 1 {
        return at("formula", "several queries need a formula");
    }
    if !is_v2(spec) && filled(spec.aggregator.as_ref()).is_some() {
        return at("aggregator", "only apiVersion v2 takes an aggregator");
    }
    if let Some(secret) = &spec.secret_ref
        && secret.namespaced
        && filled(secret.name.as_ref()).is_none()
    {
        return at(
            "secretRef.name",
            "must be set for a Secret in the namespace of the run",
        );
    }
    checks::duration("datadog.interval", spec.interval.as_ref(), DEFAULT_INTERVAL)?;
    checks::duration(
        "datadog.requestTimeout",
        spec.request_timeout.as_ref(),
        DEFAULT_TIMEOUT,
    )
    .map(drop)
}

fn call(task: &Task<'_>, spec: &Datadog, account: &Account) -> Result<Call, ProviderError> {
    let interval = checks::duration("interval", spec.interval.as_ref(), DEFAULT_INTERVAL)
        .map_err(ProviderError::invalid)?;
    let interval = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
    let to = task.now.as_second();
    let from = to.saturating_sub(interval);
    let mut call = if is_v2(spec) {
        let url = account.url("api/v2/query/scalar")?;
        Call::post_json(url, &scalar::request(spec, from, to), timeout(spec))
    } else {
        let mut url = account.url("api/v1/query")?;
        url.query_pairs_mut()
            .append_pair("from", &from.to_string())
            .append_pair("query", spec.query.as_deref().unwrap_or_default())
            .append_pair("to", &to.to_string());
        Call::get(url, timeout(spec))
    };
    call.headers.extend(account.headers()?);
    Ok(call)
}

fn accepted(reply: Reply) -> Result<Reply, ProviderError> {
    let code = reply.status.as_u16();
    if code == 200 {
        return Ok(reply);
    }
    let what = match code {
        401 | 403 => "received authentication error response code",
        _ => "received non 2xx response code",
    };
    let message = format!("{what}: {code} {}", reply.excerpt());
    Err(ProviderError::status(reply.status, &reply.headers, message))
}

/// Answer of `/api/v1/query`.
#[derive(Deserialize)]
struct SeriesAnswer {
    #[serde(default)]
    series: Option<Vec<Series>>,
}

#[derive(Deserialize)]
struct Series {
    #[serde(default)]
    pointlist: Option<Vec<Vec<Option<f64>>>>,
}

/// The last point of the first series.
fn series(reply: &Reply) -> Result<Reading, ProviderError> {
    let answer: SeriesAnswer = reply.json()?;
    let all = answer.series.unwrap_or_default();
    let points = all.first().and_then(|series| series.pointlist.as_ref());
    match points.and_then(|points| points.last()).map(Vec::as_slice) {
        None => Ok(Reading::new(
            AnalysisValue::NoFloat,
            if all.is_empty() {
                "[]"
            } else {
                "[{\"pointlist\":[]}]"
            },
        )),
        // Go reads a null into a number as 0.
        Some([_, value]) => {
            let value = value.unwrap_or_default();
            Ok(Reading::new(
                AnalysisValue::Float(value),
                numbers::plain(value),
            ))
        }
        Some(_) => Err(ProviderError::answer("Datapoint does not have 2 values")),
    }
}
