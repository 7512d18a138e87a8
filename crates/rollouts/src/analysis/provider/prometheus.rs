//! Prometheus: instant and range queries.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

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

use futures::{FutureExt, future::BoxFuture};

use super::{
    Environment, Measures, MetricProvider, ProviderError, Reading, Registration,
    http::{ClientOptions, Redirects, TokenLogin, excerpt, headers, read_body, timeout},
    redaction::Redactor,
};
use crate::api::analysis::{Prometheus, Provider, RangeQuery};

/// Prometheus queries as metrics.
pub(super) const REGISTRATION: Registration = Registration {
    name: "prometheus",
    check,
    measures: Measures::AtOnce(|environment, provider| {
        let spec = provider.prometheus.as_ref();
        let spec =
            spec.ok_or_else(|| ProviderError::invalid("the metric has no provider.prometheus"))?;
        Ok(Box::new(PrometheusProvider::new(environment, spec)?))
    }),
};

/// Time that a query may take where the metric says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Where the resolved query stands in the metric's metadata.
const RESOLVED_QUERY: &str = "ResolvedPrometheusQuery";
/// Addresses of Amazon's Prometheus contain this; only for them upstream signs requests.
const AMAZON: &str = "aps-workspaces";

fn check(provider: &Provider) -> Result<(), ProviderError> {
    let Some(spec) = &provider.prometheus else {
        return Ok(());
    };
    let authentication = spec.authentication.as_ref();
    let Some(sigv4) = authentication.and_then(|how| how.sigv4.as_ref()) else {
        return Ok(());
    };
    let asks = [&sigv4.region, &sigv4.profile, &sigv4.role_arn]
        .into_iter()
        .any(|field| field.as_deref().is_some_and(|text| !text.is_empty()));
    let amazon = spec
        .address
        .as_deref()
        .is_some_and(|address| address.contains(AMAZON));
    if asks && amazon {
        return Err(ProviderError::unsupported(
            "prometheus authentication with sigv4",
        ));
    }
    Ok(())
}

/// A query to one server.
struct PrometheusProvider {
    http: reqwest::Client,
    client: Client,
    token: Option<TokenLogin>,
    redactor: Arc<Redactor>,
    headers: HeaderMap,
    query: String,
    range: Option<RangeQuery>,
    timeout: Duration,
}

impl PrometheusProvider {
    fn new(environment: &Environment<'_>, spec: &Prometheus) -> Result<Self, ProviderError> {
        let filled = |address: &&str| !address.is_empty();
        let own = spec.address.as_deref().filter(filled);
        let address = own
            .or(environment.prometheus_address.filter(filled))
            .ok_or_else(|| ProviderError::invalid("prometheus address is not configured"))?;
        if !address.starts_with("http://") && !address.starts_with("https://") {
            let message = format!("prometheus address is not a URL: {address}");
            return Err(ProviderError::invalid(message));
        }
        let headers = headers(&spec.headers, spec.authentication.as_ref())?;
        let token = TokenLogin::new(spec.authentication.as_ref())?;
        let http = environment.http.client(ClientOptions {
            insecure: spec.insecure,
            redirects: Redirects::for_request(token.is_some() || !headers.is_empty()),
        })?;
        Ok(Self {
            client: Client::from(http.clone(), address)
                .map_err(|error| ProviderError::invalid(error_chain(&error)))?,
            http,
            token,
            redactor: Arc::clone(environment.redactor),
            headers,
            query: spec.query.clone().unwrap_or_default(),
            range: spec.range_query.clone(),
            timeout: timeout(spec.timeout, DEFAULT_TIMEOUT).ok_or_else(|| {
                ProviderError::invalid("prometheus timeout should not be negative")
            })?,
        })
    }

    async fn ask(&self, now: Timestamp) -> Result<Answer, ProviderError> {
        let mut headers = self.headers.clone();
        if let Some(token) = &self.token {
            token
                .log_in(&self.http, &self.redactor, &mut headers)
                .await?;
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
        let (status, answered) = (response.status(), response.headers().clone());
        let body = read_body(response).await?;
        serde_json::from_slice(&body).map_err(|_| {
            if status.is_success() {
                ProviderError::answer(
                    "the server's answer is not one of Prometheus, or of a type that has no number",
                )
            } else {
                let message = format!("the server answered {status}: {}", excerpt(&body));
                ProviderError::status(status, &answered, message)
            }
        })
    }

    async fn send(
        &self,
        now: Timestamp,
        headers: &HeaderMap,
        post: bool,
    ) -> Result<reqwest::Response, ProviderError> {
        let sent = if let Some(range) = &self.range {
            let (start, end, step) = bounds(range, now).map_err(ProviderError::invalid)?;
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
        sent.map_err(|error| ProviderError::unavailable(error_chain(&error)))
    }
}

impl MetricProvider for PrometheusProvider {
    fn read(&self, now: Timestamp) -> BoxFuture<'_, Result<Reading, ProviderError>> {
        async move {
            let answer = tokio::time::timeout(self.timeout, self.ask(now)).await;
            let answer = answer.map_err(|_| {
                ProviderError::unavailable(format!(
                    "Prometheus did not answer within {} s",
                    self.timeout.as_secs()
                ))
            })??;
            answer.reading()
        }
        .boxed()
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

impl Answer {
    fn reading(self) -> Result<Reading, ProviderError> {
        let Some(data) = self.data.filter(|_| self.status == "success") else {
            let message = format!("{}: {}", self.error_type, self.error);
            return Err(ProviderError::answer(message));
        };
        let mut reading = reading(data.data());
        if !self.warnings.is_empty() {
            let quoted: Vec<String> = self
                .warnings
                .iter()
                .map(|warning| format!("\"{warning}\""))
                .collect();
            let metadata = &mut reading.metadata;
            metadata.insert("warnings".to_owned(), quoted.join(", "));
        }
        Ok(reading)
    }
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
