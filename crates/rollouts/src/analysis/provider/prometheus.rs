//! Prometheus: instant and range queries.

use std::{collections::BTreeMap, error::Error, fmt::Write, time::Duration};

use expressions::{
    analysis::AnalysisValue,
    expr::{Function, Host, Program, Type, Value},
};
use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus_http_query::{
    Client,
    response::{Data, PromqlResult, RangeVector, Sample},
};
use reconcile_core::kube_types::GoDuration;
use reqwest::{StatusCode, header::HeaderMap};
use serde::Deserialize;

use super::{MetricProvider, Reading};
use crate::api::analysis::{BasicAuth, Prometheus, RangeQuery};

/// Time that a query may take where the metric says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time that a metric may ask for; a longer one is cut, so that no measurement hangs for ever.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(10);
/// An answer of more bytes is refused: a verdict needs few numbers, and memory must not follow a query.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;
/// A server that does not accept a connection within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Idle connections per server: measurements come in small bursts.
const IDLE_CONNECTIONS: usize = 2;
/// Where the resolved query stands in the metric's metadata.
const RESOLVED_QUERY: &str = "ResolvedPrometheusQuery";

/// What a metric asks for that this version does not do.
pub(super) fn unsupported(spec: &Prometheus) -> Option<&'static str> {
    let authentication = spec.authentication.as_ref()?;
    if authentication.oauth2.is_some() {
        return Some("prometheus authentication with oauth2");
    }
    authentication
        .sigv4
        .is_some()
        .then_some("prometheus authentication with sigv4")
}

/// Connections to Prometheus servers, made when first needed.
#[derive(Debug, Default)]
pub(super) struct PrometheusServers {
    default_address: Option<String>,
    verified: Mutex<Option<reqwest::Client>>,
    unverified: Mutex<Option<reqwest::Client>>,
}

impl PrometheusServers {
    /// `default_address` is used by metrics that name none.
    pub(super) fn new(default_address: Option<String>) -> Self {
        Self {
            default_address,
            ..Self::default()
        }
    }

    /// The provider for a metric.
    pub(super) fn provider(&self, spec: &Prometheus) -> Result<PrometheusProvider, String> {
        let own = spec
            .address
            .as_deref()
            .filter(|address| !address.is_empty());
        let address = own
            .or(self
                .default_address
                .as_deref()
                .filter(|address| !address.is_empty()))
            .ok_or("prometheus address is not configured")?;
        if !address.starts_with("http://") && !address.starts_with("https://") {
            return Err(format!("prometheus address is not a URL: {address}"));
        }
        let http = self.http(spec.insecure)?;
        let client = Client::from(http, address).map_err(|error| chain(&error))?;
        Ok(PrometheusProvider {
            client,
            headers: headers(spec)?,
            query: spec.query.clone().unwrap_or_default(),
            range: spec.range_query.clone(),
            timeout: timeout(spec.timeout)?,
        })
    }

    fn http(&self, insecure: bool) -> Result<reqwest::Client, String> {
        let mut kept = if insecure {
            self.unverified.lock()
        } else {
            self.verified.lock()
        };
        if let Some(client) = kept.as_ref() {
            return Ok(client.clone());
        }
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .tls_danger_accept_invalid_certs(insecure)
            .user_agent(concat!("rollouts/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| chain(&error))?;
        Ok(kept.insert(client).clone())
    }
}

/// A query to one server.
pub(super) struct PrometheusProvider {
    client: Client,
    headers: HeaderMap,
    query: String,
    range: Option<RangeQuery>,
    timeout: Duration,
}

impl PrometheusProvider {
    /// Time that the query may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    async fn ask(&self, now: Timestamp) -> Result<Answer, String> {
        let first = self.send(now, true).await?;
        // Some proxies in front of Prometheus only let GET pass.
        let refused = matches!(
            first.status(),
            StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
        );
        let response = if refused {
            self.send(now, false).await?
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

    async fn send(&self, now: Timestamp, post: bool) -> Result<reqwest::Response, String> {
        let sent = if let Some(range) = &self.range {
            let (start, end, step) = bounds(range, now)?;
            let mut builder = self.client.query_range(&self.query, start, end, step);
            for (name, value) in &self.headers {
                builder = builder.header(name.clone(), value.clone());
            }
            if post {
                builder.post_raw().await
            } else {
                builder.get_raw().await
            }
        } else {
            let mut builder = self.client.query(&self.query).at(now.as_second());
            for (name, value) in &self.headers {
                builder = builder.header(name.clone(), value.clone());
            }
            if post {
                builder.post_raw().await
            } else {
                builder.get_raw().await
            }
        };
        sent.map_err(|error| chain(&error))
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

fn headers(spec: &Prometheus) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for header in &spec.headers {
        let name = reqwest::header::HeaderName::try_from(header.key.as_str());
        let value = reqwest::header::HeaderValue::try_from(header.value.as_str());
        match (name, value) {
            (Ok(name), Ok(value)) => drop(headers.append(name, value)),
            _ => return Err(format!("the header {:?} is not valid", header.key)),
        }
    }
    let login = spec
        .authentication
        .as_ref()
        .and_then(|how| how.basic_auth.as_ref());
    if let Some(BasicAuth { username, password }) = login {
        let pair = [
            username.as_deref().unwrap_or_default(),
            password.as_deref().unwrap_or_default(),
        ];
        let text = format!("Basic {}", base64(pair.join(":").as_bytes()));
        let mut value = reqwest::header::HeaderValue::try_from(text)
            .map_err(|_| "the user name or password is not valid".to_owned())?;
        value.set_sensitive(true);
        headers.insert(reqwest::header::AUTHORIZATION, value);
    }
    Ok(headers)
}

fn base64(bytes: &[u8]) -> String {
    expressions::go_text::base64_standard(bytes)
}

fn timeout(seconds: Option<i64>) -> Result<Duration, String> {
    match seconds {
        None | Some(0) => Ok(DEFAULT_TIMEOUT),
        Some(seconds) => match u64::try_from(seconds) {
            Ok(seconds) => Ok(Duration::from_secs(seconds).min(LONGEST_TIMEOUT)),
            Err(_) => Err("prometheus timeout should not be negative".to_owned()),
        },
    }
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

async fn read_body(mut response: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(format!("the answer is larger than {LARGEST_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The beginning of a body that is no JSON, for a message.
fn excerpt(body: &[u8]) -> String {
    const LONGEST: usize = 200;
    let text: String = String::from_utf8_lossy(body)
        .chars()
        .take(LONGEST)
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// An error with its causes: the outermost one alone never says what happened.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            let _ = write!(text, ": {inner_text}");
        }
        cause = inner.source();
    }
    text
}
