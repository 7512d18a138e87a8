//! Prometheus: instant and range queries.

use std::{collections::BTreeMap, time::Duration};

use expressions::{
    analysis::AnalysisValue,
    expr::{Function, Host, Program, Type, Value},
};
use futures::future::BoxFuture;
use jiff::Timestamp;
use prometheus_http_query::response::{Data, PromqlResult, RangeVector, Sample};
use reconcile_core::{kube_types::GoDuration, object::FieldError};
use reqwest::{Method, StatusCode, header::HeaderValue};
use serde::Deserialize;

use super::{
    MetricProvider, Reading, Step, Task,
    checks::{self, filled},
    error::ProviderError,
    http::{Call, Login, Reply, Signature, headers},
    numbers,
};
use crate::api::analysis::{Prometheus, Provider, RangeQuery};

/// Time that a query may take where the metric says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Key of the resolved query in the metric's metadata.
const RESOLVED_QUERY: &str = "ResolvedPrometheusQuery";
/// Addresses of Amazon's Prometheus contain this; only for them upstream signs requests.
const AMAZON: &str = "aps-workspaces";

/// Queries of Prometheus and of servers that speak its API.
pub(super) struct PrometheusProvider;

impl MetricProvider for PrometheusProvider {
    fn name(&self) -> &'static str {
        "prometheus"
    }

    fn check(&self, spec: &Provider) -> Result<(), FieldError> {
        let Some(spec) = &spec.prometheus else {
            return Ok(());
        };
        if let Some(address) = filled(spec.address.as_ref()) {
            checks::url("prometheus.address", address)?;
        }
        if checks::seconds(spec.timeout, DEFAULT_TIMEOUT).is_none() {
            let message = "prometheus timeout should not be negative";
            return Err(FieldError::new("prometheus.timeout", message));
        }
        checks::headers("prometheus.headers", &spec.headers)?;
        checks::login("prometheus.authentication", spec.authentication.as_ref())?;
        spec.range_query.as_ref().map_or(Ok(()), check_range)
    }

    fn deadline(&self, spec: &Provider) -> Duration {
        spec.prometheus.as_ref().map_or(DEFAULT_TIMEOUT, timeout)
    }

    fn metadata(&self, spec: &Provider) -> BTreeMap<String, String> {
        let query = spec
            .prometheus
            .as_ref()
            .and_then(|spec| filled(spec.query.as_ref()));
        query
            .map(|query| (RESOLVED_QUERY.to_owned(), query.to_owned()))
            .into_iter()
            .collect()
    }

    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let spec = task.spec(|provider| provider.prometheus.as_ref())?;
            ask(task, spec).await.map(Step::Read)
        })
    }
}

fn timeout(spec: &Prometheus) -> Duration {
    checks::seconds(spec.timeout, DEFAULT_TIMEOUT).unwrap_or(DEFAULT_TIMEOUT)
}

async fn ask(task: &Task<'_>, spec: &Prometheus) -> Result<Reading, ProviderError> {
    let call = call(task, spec)?;
    let mut reply = task.tools.http.send(call.clone(), task.redactor).await?;
    // Some proxies in front of Prometheus only let GET pass.
    let post_refused = matches!(
        reply.status,
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
    );
    if post_refused {
        reply = task.tools.http.send(as_get(call), task.redactor).await?;
    }
    answer(&reply)
}

fn call(task: &Task<'_>, spec: &Prometheus) -> Result<Call, ProviderError> {
    let configured = task.tools.config.prometheus_address.as_ref();
    let address = filled(spec.address.as_ref())
        .or(filled(configured))
        .ok_or_else(|| {
            ProviderError::invalid(
                "prometheus address is not configured: set provider.prometheus.address, or \
                 ARGO_ROLLOUTS_PROMETHEUS_ADDRESS for the controller",
            )
        })?;
    let server = checks::parse_url(address).map_err(ProviderError::invalid)?;
    let endpoint = if spec.range_query.is_some() {
        "api/v1/query_range"
    } else {
        "api/v1/query"
    };
    let url = checks::below(server, endpoint);
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("query", spec.query.as_deref().unwrap_or_default());
    if let Some(range) = &spec.range_query {
        let (start, end, step) = bounds(range, task.now)?;
        form.append_pair("start", &start.to_string());
        form.append_pair("end", &end.to_string());
        form.append_pair("step", &step.to_string());
    } else {
        form.append_pair("time", &task.now.as_second().to_string());
    }
    let authentication = spec.authentication.as_ref();
    let mut call = Call::get(url, timeout(spec));
    call.method = Method::POST;
    call.body = form.finish().into_bytes();
    call.headers = headers(&spec.headers, authentication, task.redactor)?;
    call.headers.insert(
        reqwest::header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    call.insecure = spec.insecure;
    call.login = match signature(spec, address) {
        Some(signature) => Login::Signature(signature),
        None => Login::token(authentication, task.redactor)?,
    };
    Ok(call)
}

/// Whom a request to Amazon's Prometheus is signed as.
fn signature(spec: &Prometheus, address: &str) -> Option<Signature> {
    let sigv4 = spec.authentication.as_ref()?.sigv4.as_ref()?;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    address.contains(AMAZON).then(|| Signature {
        service: "aps",
        region: text(&sigv4.region),
        profile: text(&sigv4.profile),
        role_arn: text(&sigv4.role_arn),
    })
}

fn as_get(mut call: Call) -> Call {
    let query = String::from_utf8_lossy(&std::mem::take(&mut call.body)).into_owned();
    call.url.set_query(Some(&query));
    call.method = Method::GET;
    call.headers.remove(reqwest::header::CONTENT_TYPE);
    call
}

/// The envelope of Prometheus' HTTP API.
#[derive(Deserialize)]
struct Answer {
    status: String,
    data: Option<PromqlResult>,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

/// The value in the body of an answer with status 200.
pub(super) fn value(body: &[u8]) -> Result<AnalysisValue, ProviderError> {
    answer(&Reply::received(body.to_vec())).map(|reading| reading.value)
}

fn answer(reply: &Reply) -> Result<Reading, ProviderError> {
    let Ok(answer) = serde_json::from_slice::<Answer>(&reply.body) else {
        return Err(if reply.status.is_success() {
            let found = reply.excerpt();
            ProviderError::answer(format!(
                "the server's answer is not one of Prometheus, or of a type that has no number: {found}"
            ))
        } else {
            reply.refusal("the server answered")
        });
    };
    let Some(data) = answer.data.filter(|_| answer.status == "success") else {
        let message = format!("{}: {}", answer.error_type, answer.error);
        return Err(ProviderError::status(reply.status, &reply.headers, message));
    };
    let mut reading = reading(data.data());
    if !answer.warnings.is_empty() {
        let quoted: Vec<String> = answer
            .warnings
            .iter()
            .map(|warning| format!("\"{warning}\""))
            .collect();
        reading
            .metadata
            .insert("warnings".to_owned(), quoted.join(", "));
    }
    Ok(reading)
}

/// A scalar is one number, a vector or matrix is the list of all its numbers.
fn reading(data: &Data) -> Reading {
    let list = |floats: Vec<f64>| {
        let texts: Vec<String> = floats.iter().map(|float| numbers::plain(*float)).collect();
        let text = format!("[{}]", texts.join(","));
        Reading::new(AnalysisValue::Floats(floats), text)
    };
    match data {
        Data::Scalar(sample) => Reading::new(
            AnalysisValue::Float(sample.value()),
            numbers::plain(sample.value()),
        ),
        Data::Vector(series) => list(series.iter().map(|one| one.sample().value()).collect()),
        Data::Matrix(series) => list(
            series
                .iter()
                .flat_map(RangeVector::samples)
                .map(Sample::value)
                .collect(),
        ),
    }
}

fn check_range(range: &RangeQuery) -> Result<(), FieldError> {
    for (field, text) in [("start", &range.start), ("end", &range.end)] {
        let text = text.as_deref().unwrap_or_default();
        if text.contains(checks::SECRET_STAND_IN) {
            continue;
        }
        // The checks of types need no time; any will do.
        time_of(text, Timestamp::UNIX_EPOCH).map_err(|reason| {
            let message = format!("{reason}; use for example now() - duration(\"5m\")");
            FieldError::new(format!("prometheus.rangeQuery.{field}"), message)
        })?;
    }
    let path = "prometheus.rangeQuery.step";
    checks::required(path, range.step.as_ref())?;
    checks::duration(path, range.step.as_ref(), DEFAULT_TIMEOUT).map(drop)
}

/// Start and end of a range in seconds since 1970, and its step in seconds.
fn bounds(range: &RangeQuery, now: Timestamp) -> Result<(i64, i64, f64), ProviderError> {
    let moment = |name: &str, text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        time_of(text, now).map_err(|reason| {
            ProviderError::invalid(format!("failed to parse rangeQuery.{name}: {reason}"))
        })
    };
    let step = range.step.as_deref().unwrap_or_default();
    let step: GoDuration = step.parse().map_err(|error| {
        ProviderError::invalid(format!("failed to parse rangeQuery.step: {error}"))
    })?;
    Ok((
        moment("start", &range.start)?,
        moment("end", &range.end)?,
        step.as_secs_f64(),
    ))
}

fn time_of(expression: &str, now: Timestamp) -> Result<i64, String> {
    let program = Program::parse(expression).map_err(|error| error.to_string())?;
    let surroundings = TimeOnly(now);
    program
        .check(&surroundings)
        .map_err(|error| error.to_string())?;
    match program
        .run(&surroundings)
        .map_err(|error| error.to_string())?
    {
        Value::Time(time) => Ok(time.timestamp().as_second()),
        other => Err(format!("expected a time, but got {}", other.kind())),
    }
}

/// The surroundings of an expression that has nothing but the language's own functions and the time.
struct TimeOnly(Timestamp);

impl Host for TimeOnly {
    fn variable(&self, _: &str) -> Option<Value> {
        None
    }
    fn variable_type(&self, _: &str) -> Option<Type> {
        None
    }
    fn function(&self, _: &str) -> Option<Function> {
        None
    }
    fn call(&self, name: &str, _: &[Value]) -> Result<Value, String> {
        Err(format!("unknown function {name}"))
    }
    fn now(&self) -> Option<Timestamp> {
        Some(self.0)
    }
}
