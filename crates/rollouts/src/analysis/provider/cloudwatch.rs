//! `CloudWatch`: `GetMetricData`. The value is the list of results with the names of AWS's own types.

use std::{sync::Arc, time::Duration};

use expressions::{analysis::AnalysisValue, expr, go_text};
use futures::future::BoxFuture;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use reconcile_core::{
    aws::{self, Environment},
    kube_types::GoDuration,
    object::FieldError,
};
use reqwest::{
    Url,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    MetricProvider, Reading, Step, Task,
    checks::{self, filled},
    error::ProviderError,
    http::{Call, Login, Reply, Signature},
};
use crate::api::analysis::{CloudWatch, CloudWatchQuery, Provider};

/// Time that a query may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Length of the window that ends now, where the metric does not set one.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);
/// The operation in AWS's JSON protocol.
const OPERATION: &str = "GraniteServiceVersion20100801.GetMetricData";
/// Queries that one request may have.
const MOST_QUERIES: usize = 500;

/// Queries of `CloudWatch`.
pub(super) struct CloudWatchProvider;

impl MetricProvider for CloudWatchProvider {
    fn name(&self) -> &'static str {
        "cloudWatch"
    }

    fn check(&self, spec: &Provider) -> Result<(), FieldError> {
        spec.cloud_watch.as_ref().map_or(Ok(()), check)
    }

    fn deadline(&self, _: &Provider) -> Duration {
        TIMEOUT
    }

    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let spec = task.spec(|provider| provider.cloud_watch.as_ref())?;
            let call = call(task, spec)?;
            let reply = task.tools.http.send(call, task.redactor).await?;
            reading(&accepted(reply)?).map(Step::Read)
        })
    }
}

fn check(spec: &CloudWatch) -> Result<(), FieldError> {
    checks::duration(
        "cloudWatch.interval",
        spec.interval.as_ref(),
        DEFAULT_INTERVAL,
    )?;
    let queries = &spec.metric_data_queries;
    let list = "cloudWatch.metricDataQueries";
    if queries.is_empty() || queries.len() > MOST_QUERIES {
        let message = format!("must have 1 to {MOST_QUERIES} queries");
        return Err(FieldError::new(list, message));
    }
    for (index, query) in queries.iter().enumerate() {
        let at = |field: &str, message: &str| {
            Err(FieldError::new(format!("{list}[{index}].{field}"), message))
        };
        if query.id.is_empty() {
            return at("id", "must be set");
        }
        match (filled(query.expression.as_ref()), &query.metric_stat) {
            (None, None) => return at("metricStat", "set either metricStat or expression"),
            (Some(_), Some(_)) => {
                return at(
                    "expression",
                    "set either metricStat or expression, not both",
                );
            }
            (None, Some(stat)) if stat.period.is_none() => {
                return at("metricStat.period", "must be set, in seconds");
            }
            _ => {}
        }
    }
    Ok(())
}

fn call(task: &Task<'_>, spec: &CloudWatch) -> Result<Call, ProviderError> {
    let environment = &task.tools.environment;
    let region = aws::region(environment)
        .ok_or_else(|| ProviderError::invalid("no region: set AWS_REGION for the controller"))?;
    let interval = checks::duration("interval", spec.interval.as_ref(), DEFAULT_INTERVAL)
        .map_err(ProviderError::invalid)?;
    let interval = GoDuration::from(interval).to_signed();
    let start = task.now.saturating_sub(interval).unwrap_or(Timestamp::MIN);
    let queries: Vec<Value> = spec.metric_data_queries.iter().map(query).collect();
    let body = json!({
        "StartTime": start.as_second(),
        "EndTime": task.now.as_second(),
        "MetricDataQueries": queries,
    });
    let mut call = Call::post_json(endpoint(environment, &region)?, &body, TIMEOUT);
    let protocol = HeaderValue::from_static("application/x-amz-json-1.0");
    call.headers.insert(CONTENT_TYPE, protocol);
    let operation = HeaderValue::from_static(OPERATION);
    call.headers.insert("x-amz-target", operation);
    call.login = Login::Signature(Signature {
        service: "monitoring",
        region,
        profile: String::new(),
        role_arn: String::new(),
    });
    Ok(call)
}

/// Where `CloudWatch` of a region is. The environment may say otherwise, as for AWS's SDKs.
fn endpoint(environment: &Environment, region: &str) -> Result<Url, ProviderError> {
    let names = ["AWS_ENDPOINT_URL_CLOUDWATCH", "AWS_ENDPOINT_URL"];
    let address = aws::variable(environment, &names)
        .unwrap_or_else(|| format!("https://monitoring.{region}.{}/", aws::domain(region)));
    checks::parse_url(&address).map_err(ProviderError::invalid)
}

/// A query as the request has it. A text that is no number counts as 0, as in Go.
fn query(query: &CloudWatchQuery) -> Value {
    let number = |period: &IntOrString| match period {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => text.parse().unwrap_or(0),
    };
    let mut wanted = json!({ "Id": query.id });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            wanted[name] = value;
        }
    };
    set("Expression", query.expression.clone().map(Value::from));
    set("Label", query.label.clone().map(Value::from));
    set(
        "Period",
        query.period.as_ref().map(|period| number(period).into()),
    );
    set("ReturnData", query.return_data.map(Value::from));
    let stat = query.metric_stat.as_ref().map(|stat| {
        let dimensions: Vec<Value> = stat
            .metric
            .dimensions
            .iter()
            .map(|dimension| json!({ "Name": dimension.name, "Value": dimension.value }))
            .collect();
        let mut wanted = json!({
            "Metric": {
                "MetricName": stat.metric.metric_name,
                "Namespace": stat.metric.namespace,
                "Dimensions": dimensions,
            },
            "Period": stat.period.as_ref().map(number),
            "Stat": stat.stat,
        });
        if !stat.unit.is_empty() {
            wanted["Unit"] = stat.unit.clone().into();
        }
        wanted
    });
    set("MetricStat", stat);
    wanted
}

fn accepted(reply: Reply) -> Result<Reply, ProviderError> {
    if reply.status.is_success() {
        return Ok(reply);
    }
    let refusal: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let Some(kind) = refusal["__type"].as_str() else {
        return reply.success();
    };
    // The type has the name of its service in front.
    let kind = kind.rsplit('#').next().unwrap_or(kind);
    let text = ["message", "Message"]
        .iter()
        .find_map(|name| refusal[name].as_str())
        .unwrap_or_default();
    let message = format!("{kind}: {text}");
    if kind.starts_with("Throttling") || kind == "LimitExceededException" {
        return Err(ProviderError::throttled(&reply.headers, message));
    }
    Err(ProviderError::status(reply.status, &reply.headers, message))
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default, rename = "MetricDataResults")]
    results: Vec<MetricDataResult>,
    #[serde(default, rename = "Messages")]
    messages: Vec<MessageData>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricDataResult {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    messages: Vec<MessageData>,
    #[serde(default)]
    status_code: String,
    #[serde(default)]
    timestamps: Vec<f64>,
    #[serde(default)]
    values: Vec<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MessageData {
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    value: Option<String>,
}

impl MetricDataResult {
    /// The result as conditions see it, under the member names of AWS's own types.
    fn value(&self) -> expr::Value {
        let times = self.timestamps.iter().map(|seconds| time(*seconds));
        let values = self.values.iter().map(|float| expr::Value::Float(*float));
        let messages = self.messages.iter().map(MessageData::value);
        map([
            ("Id", text(self.id.as_ref())),
            ("Label", text(self.label.as_ref())),
            ("Messages", expr::Value::list(messages.collect())),
            ("StatusCode", text(Some(&self.status_code))),
            ("Timestamps", expr::Value::list(times.collect())),
            ("Values", expr::Value::list(values.collect())),
        ])
    }
}

impl MessageData {
    fn value(&self) -> expr::Value {
        map([
            ("Code", text(self.code.as_ref())),
            ("Value", text(self.value.as_ref())),
        ])
    }
}

fn map<const N: usize>(members: [(&str, expr::Value); N]) -> expr::Value {
    let members = members.map(|(name, value)| (name.to_owned(), value));
    expr::Value::Map(Arc::new(members.into()))
}

fn text(text: Option<&String>) -> expr::Value {
    text.map_or(expr::Value::Nil, |text| expr::Value::text(text.as_str()))
}

fn time(seconds: f64) -> expr::Value {
    let time = SignedDuration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|since| Timestamp::from_duration(since).ok());
    time.map_or(expr::Value::Nil, |time| {
        expr::Value::Time(Box::new(time.to_zoned(TimeZone::UTC)))
    })
}

fn reading(reply: &Reply) -> Result<Reading, ProviderError> {
    let answer: Answer = reply.json()?;
    let lists = answer.results.iter().map(|result| {
        let floats = result.values.iter().map(|float| go_text::float(*float));
        format!("[{}]", floats.collect::<Vec<_>>().join(" "))
    });
    let text = format!("[{}]", lists.collect::<Vec<_>>().join(" "));
    let values = answer.results.iter().map(MetricDataResult::value).collect();
    let mut reading = Reading::new(AnalysisValue::Values(values), text);
    if !answer.messages.is_empty() {
        let texts = answer.messages.into_iter().map(|message| {
            let (code, value) = (message.code.unwrap_or_default(), message.value);
            format!("{code}: {}", value.unwrap_or_default())
        });
        let messages = texts.collect::<Vec<_>>().join(", ");
        reading.metadata.insert("messages".to_owned(), messages);
    }
    Ok(reading)
}
