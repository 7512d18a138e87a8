//! Graphite: the points of the first target.

use std::time::Duration;

use expressions::analysis::AnalysisValue;
use futures::future::BoxFuture;
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::{
    MetricProvider, Reading, Step, Task,
    checks::{self, filled},
    error::ProviderError,
    http::{Call, Reply},
    numbers,
};
use crate::api::analysis::{Graphite, Provider};

/// Time that a query may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Queries of Graphite.
pub(super) struct GraphiteProvider;

impl MetricProvider for GraphiteProvider {
    fn name(&self) -> &'static str {
        "graphite"
    }

    fn check(&self, spec: &Provider) -> Result<(), FieldError> {
        let Some(spec) = &spec.graphite else {
            return Ok(());
        };
        let address = checks::required("graphite.address", spec.address.as_ref())?;
        checks::url("graphite.address", address)?;
        checks::required("graphite.query", spec.query.as_ref()).map(drop)
    }

    fn deadline(&self, _: &Provider) -> Duration {
        TIMEOUT
    }

    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let spec = task.spec(|provider| provider.graphite.as_ref())?;
            let call = Call::get(url(spec)?, TIMEOUT);
            let reply = task.tools.http.send(call, task.redactor).await?;
            reading(&reply).map(Step::Read)
        })
    }
}

fn url(spec: &Graphite) -> Result<Url, ProviderError> {
    let address = filled(spec.address.as_ref()).unwrap_or_default();
    let server = checks::parse_url(address).map_err(ProviderError::invalid)?;
    let mut url = checks::below(server, "render");
    // Queries are written over several lines.
    let query = spec.query.as_deref().unwrap_or_default();
    let query = query.split_whitespace().collect::<Vec<_>>().join(" ");
    let given = url::form_urlencoded::parse(query.as_bytes());
    url.query_pairs_mut()
        .clear()
        .extend_pairs(given.filter(|(name, _)| name != "format"))
        .append_pair("format", "json");
    Ok(url)
}

#[derive(Deserialize)]
struct Target {
    #[serde(default)]
    datapoints: Vec<Value>,
}

fn reading(reply: &Reply) -> Result<Reading, ProviderError> {
    if reply.status.as_u16() >= 400 {
        let message = format!("error response: {}", reply.excerpt());
        return Err(ProviderError::status(reply.status, &reply.headers, message));
    }
    let targets: Vec<Target> = reply.json()?;
    let points = targets.into_iter().next().map(|target| target.datapoints);
    let points = points.filter(|points| !points.is_empty());
    let points = points.ok_or_else(|| ProviderError::answer("no values found"))?;
    let mut floats = Vec::with_capacity(points.len());
    for point in &points {
        floats.extend(value(point)?);
    }
    let text = numbers::list(floats.iter().map(|float| numbers::fixed(*float, 6)));
    Ok(Reading::new(AnalysisValue::Floats(floats), text))
}

/// The number of a point `[value, time]`; `None` where Graphite has none.
fn value(point: &Value) -> Result<Option<f64>, ProviderError> {
    let broken = || ProviderError::answer(format!("error unmarshaling data point: {point}"));
    let Some([value, _time]) = point.as_array().map(Vec::as_slice) else {
        return Err(broken());
    };
    match value {
        Value::Null => Ok(None),
        Value::String(text) => expressions::go_text::parse_float(text)
            .map(Some)
            .ok_or_else(broken),
        value => value.as_f64().map(Some).ok_or_else(broken),
    }
}
