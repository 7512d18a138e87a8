//! Prometheus: instant and range queries.

use std::{collections::BTreeMap, time::Duration};

use expressions::{
    analysis::AnalysisValue,
    expr::{Function, Host, Program, Type, Value},
};
use jiff::Timestamp;
use prometheus_http_query::{
    Client,
    response::{Data, PromqlResult, RangeVector, Sample},
};
use reconcile_core::{kube_types::GoDuration, reconcile::error_chain};
use reqwest::{StatusCode, header::HeaderMap};
use serde::Deserialize;

use super::{
    MetricProvider, Reading,
    http::{HttpClients, excerpt, headers, log_in, oauth2, read_body, timeout},
};
use crate::api::analysis::{OAuth2, Prometheus, RangeQuery};

/// Time that a query may take where the metric says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Where the resolved query stands in the metric's metadata.
const RESOLVED_QUERY: &str = "ResolvedPrometheusQuery";
/// Addresses of Amazon's Prometheus contain this; only for them upstream signs requests.
const AMAZON: &str = "aps-workspaces";

/// What a metric asks for that this version does not do.
pub(super) fn unsupported(spec: &Prometheus) -> Option<&'static str> {
    let sigv4 = spec.authentication.as_ref()?.sigv4.as_ref()?;
    let asks = [&sigv4.region, &sigv4.profile, &sigv4.role_arn]
        .into_iter()
        .any(|field| field.as_deref().is_some_and(|text| !text.is_empty()));
    let amazon = spec
        .address
        .as_deref()
        .is_some_and(|address| address.contains(AMAZON));
    (asks && amazon).then_some("prometheus authentication with sigv4")
}

/// A query to one server.
pub(super) struct PrometheusProvider {
    http: reqwest::Client,
    client: Client,
    token: Option<OAuth2>,
    headers: HeaderMap,
    query: String,
    range: Option<RangeQuery>,
    timeout: Duration,
}

impl PrometheusProvider {
    /// The provider for a metric; `default_address` is used when it names none.
    pub(super) fn new(
        clients: &HttpClients,
        spec: &Prometheus,
        default_address: Option<&str>,
    ) -> Result<Self, String> {
        let own = spec
            .address
            .as_deref()
            .filter(|address| !address.is_empty());
        let address = own
            .or(default_address.filter(|address| !address.is_empty()))
            .ok_or("prometheus address is not configured")?;
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(format!("prometheus address is not a URL: {address}"));
        }
        let http = clients.client(spec.insecure)?;
        Ok(Self {
            client: Client::from(http.clone(), address).map_err(|error| error_chain(&error))?,
            http,
            token: oauth2(spec.authentication.as_ref()).cloned(),
            headers: headers(&spec.headers, spec.authentication.as_ref())?,
            query: spec.query.clone().unwrap_or_default(),
            range: spec.range_query.clone(),
            timeout: timeout(spec.timeout, DEFAULT_TIMEOUT)
                .ok_or("prometheus timeout should not be negative")?,
        })
    }

    async fn ask(&self, now: Timestamp) -> Result<Answer, String> {
        let mut headers = self.headers.clone();
        if let Some(token) = &self.token {
            log_in(&self.http, token, &mut headers).await?;
        }
        let first = self.send(now, &headers, true).await?;
        // Some proxies in front of Prometheus only let GET pass.
        let refused = matches!(
            first.status(),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        );
        let response = if refused {
            self.send(now, &headers, false).await?
        } else {
            first
        };
        let status = response.status();
        let body = read_body(response).await?;
        serde_json::from_slice(&body).map_err(|_| {
            if status.is_success() {
                "the server's answer is not one of Prometheus, or of a type that has no number"
                    .to_owned()
            } else {
                format!("the server answered {status}: {}", excerpt(&body))
            }
        })
    }

    async fn send(
        &self,
        now: Timestamp,
        headers: &HeaderMap,
        post: bool,
    ) -> Result<reqwest::Response, String> {
        let sent = if let Some(range) = &self.range {
            let (start, end, step) = bounds(range, now)?;
            let mut builder = self.client.query_range(&self.query, start, end, step);
            for (name, value) in headers {
                builder = builder.header(name.clone(), value.clone());
            }
            if post {
                builder.post_raw().await
            } else {
                builder.get_raw().await
            }
        } else {
            let mut builder = self.client.query(&self.query).at(now.as_second());
            for (name, value) in headers {
                builder = builder.header(name.clone(), value.clone());
            }
            if post {
                builder.post_raw().await
            } else {
                builder.get_raw().await
            }
        };
        sent.map_err(|error| error_chain(&error))
    }
}

impl MetricProvider for PrometheusProvider {
    async fn read(&self, now: Timestamp) -> Result<Reading, String> {
        let answer = tokio::time::timeout(self.timeout, self.ask(now))
            .await
            .map_err(|_| {
                format!(
                    "Prometheus did not answer within {} s",
                    self.timeout.as_secs()
                )
            })??;
        let Some(data) = answer.data.filter(|_| answer.status == "success") else {
            return Err(format!("{}: {}", answer.error_type, answer.error));
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

    fn timeout(&self) -> Duration {
        self.timeout
    }

    fn metadata(&self) -> BTreeMap<String, String> {
        let query = Some(&self.query).filter(|query| !query.is_empty());
        query
            .map(|query| (RESOLVED_QUERY.to_owned(), query.clone()))
            .into_iter()
            .collect()
    }
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

/// A scalar is one number, a vector or matrix is the list of all its numbers.
fn reading(data: &Data) -> Reading {
    let list = |floats: Vec<f64>| {
        let texts: Vec<String> = floats.iter().map(|float| number(*float)).collect();
        (
            AnalysisValue::Floats(floats),
            format!("[{}]", texts.join(",")),
        )
    };
    let (value, text) = match data {
        Data::Scalar(sample) => (AnalysisValue::Float(sample.value()), number(sample.value())),
        Data::Vector(series) => list(series.iter().map(|one| one.sample().value()).collect()),
        Data::Matrix(series) => list(
            series
                .iter()
                .flat_map(RangeVector::samples)
                .map(Sample::value)
                .collect(),
        ),
    };
    Reading {
        value,
        text,
        metadata: BTreeMap::new(),
    }
}

/// A number as Prometheus' own client prints it: never with an exponent.
fn number(float: f64) -> String {
    if float.is_infinite() {
        return if float > 0.0 {
            "+Inf".to_owned()
        } else {
            "-Inf".to_owned()
        };
    }
    float.to_string()
}

/// Start and end of a range in seconds since 1970, and its step in seconds.
fn bounds(range: &RangeQuery, now: Timestamp) -> Result<(i64, i64, f64), String> {
    let moment = |name: &str, text: &Option<String>| {
        let text = text.as_deref().unwrap_or_default();
        time_of(text, now).map_err(|reason| format!("failed to parse rangeQuery.{name}: {reason}"))
    };
    let step = range.step.as_deref().unwrap_or_default();
    let step: GoDuration = step
        .parse()
        .map_err(|error| format!("failed to parse rangeQuery.step: {error}"))?;
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
