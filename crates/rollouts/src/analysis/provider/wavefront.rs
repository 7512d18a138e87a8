//! Wavefront: the point of each series that is nearest to the time of the measurement.

use std::time::Duration;

use expressions::analysis::AnalysisValue;
use futures::future::BoxFuture;
use reconcile_core::object::FieldError;
use reqwest::{Url, header::AUTHORIZATION};
use serde::Deserialize;

use super::{
    MetricProvider, Reading, Step, Task,
    checks::{self, SECRET_STAND_IN, filled},
    credentials::Credentials,
    error::ProviderError,
    http::{Call, Reply, secret_header},
    numbers,
};
use crate::api::analysis::{Provider, Wavefront};

/// The Secret with a token per address.
const SECRET: &str = "wavefront-api-tokens";
/// Time that a query may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Queries of Wavefront.
pub(super) struct WavefrontProvider;

impl MetricProvider for WavefrontProvider {
    fn name(&self) -> &'static str {
        "wavefront"
    }

    fn check(&self, spec: &Provider) -> Result<(), FieldError> {
        let Some(spec) = &spec.wavefront else {
            return Ok(());
        };
        let address = checks::required("wavefront.address", spec.address.as_ref())?;
        if !address.contains(SECRET_STAND_IN) {
            server(address).map_err(|reason| {
                let message = format!("{reason}; use for example example.wavefront.com");
                FieldError::new("wavefront.address", message)
            })?;
        }
        checks::required("wavefront.query", spec.query.as_ref()).map(drop)
    }

    fn deadline(&self, _: &Provider) -> Duration {
        TIMEOUT
    }

    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let spec = task.spec(|provider| provider.wavefront.as_ref())?;
            let seconds = task.now.as_second();
            let call = call(task, spec, seconds).await?;
            let reply = task.tools.http.send(call, task.redactor).await?;
            reading(&reply.success()?, seconds).map(Step::Read)
        })
    }
}

/// Upstream knows hosts only. With a scheme the address is taken as it is, for a proxy without TLS.
fn server(address: &str) -> Result<Url, String> {
    if address.starts_with("http://") || address.starts_with("https://") {
        checks::parse_url(address)
    } else {
        checks::parse_url(&format!("https://{address}"))
    }
}

async fn call(task: &Task<'_>, spec: &Wavefront, seconds: i64) -> Result<Call, ProviderError> {
    let address = filled(spec.address.as_ref()).unwrap_or_default();
    let server = server(address).map_err(ProviderError::invalid)?;
    let tokens = Credentials::read(task, SECRET).await?;
    // A key cannot hold a scheme or a port.
    let key = server.host_str().unwrap_or_default();
    let token = tokens.credential(task, key)?;
    let mut url = checks::below(server.clone(), "api/v2/chart/api");
    let moment = seconds.saturating_mul(1000).to_string();
    url.query_pairs_mut()
        .append_pair("q", spec.query.as_deref().unwrap_or_default())
        .append_pair("s", &moment)
        .append_pair("e", &moment)
        .append_pair("g", "s")
        .append_pair("p", "1")
        // Start and end are the same moment; hardly any series has a point at it.
        .append_pair("i", "true");
    let mut call = Call::get(url, TIMEOUT);
    let bearer = secret_header(&format!("Bearer {token}"))?;
    call.headers.insert(AUTHORIZATION, bearer);
    Ok(call)
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    timeseries: Vec<Series>,
    #[serde(default)]
    warnings: Option<String>,
    #[serde(default, rename = "errorType")]
    error_type: Option<String>,
    #[serde(default, rename = "errorMessage")]
    error_message: Option<String>,
}

#[derive(Deserialize)]
struct Series {
    /// Time in seconds since 1970, and value.
    #[serde(default)]
    data: Vec<(f64, f64)>,
}

fn reading(reply: &Reply, now: i64) -> Result<Reading, ProviderError> {
    let answer: Answer = reply.json()?;
    if let Some(kind) = answer.error_type.filter(|kind| !kind.is_empty()) {
        let message = answer.error_message.unwrap_or_default();
        return Err(ProviderError::answer(format!("{kind}: {message}")));
    }
    if answer.timeseries.is_empty() {
        let message = "No TimeSeries found in response from Wavefront";
        return Err(ProviderError::answer(message));
    }
    let points: Vec<Point> = answer
        .timeseries
        .iter()
        .map(|series| nearest(&series.data, now))
        .collect::<Option<_>>()
        // Upstream takes 0 as the value of such a series.
        .ok_or_else(|| ProviderError::answer("a series has no data points"))?;
    let mut reading = match points.as_slice() {
        [only] => Reading::new(
            AnalysisValue::Float(only.value),
            numbers::fixed(only.value, 2),
        ),
        several => Reading::new(
            AnalysisValue::Floats(several.iter().map(|point| point.value).collect()),
            numbers::list(several.iter().map(|point| numbers::fixed(point.value, 2))),
        ),
    };
    let shown = |get: fn(&Point) -> i64| match points.as_slice() {
        [only] => get(only).to_string(),
        several => numbers::list(several.iter().map(|point| get(point).to_string())),
    };
    reading.metadata = [
        ("timestamps".to_owned(), shown(|point| point.time)),
        ("drift".to_owned(), shown(|point| point.drift)),
    ]
    .into();
    if let Some(warnings) = answer.warnings.filter(|text| !text.is_empty()) {
        reading.metadata.insert("warnings".to_owned(), warnings);
    }
    Ok(reading)
}

/// A point of a series.
struct Point {
    value: f64,
    /// Seconds since 1970.
    time: i64,
    /// Seconds from the time of the measurement.
    drift: i64,
}

/// The first of the points that are nearest to `now`.
fn nearest(points: &[(f64, f64)], now: i64) -> Option<Point> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "seconds of a server; what does not fit is cut, as in Go"
    )]
    let points = points.iter().map(|(time, value)| Point {
        value: *value,
        time: *time as i64,
        drift: (*time as i64).saturating_sub(now),
    });
    points.min_by_key(|point| point.drift.unsigned_abs())
}
