//! `InfluxDB`: a Flux query, answered as annotated CSV. The value is the list of all `_value`s.

use std::time::Duration;

use csv::{ReaderBuilder, StringRecord};
use expressions::{analysis::AnalysisValue, expr::Value, go_text};
use futures::future::BoxFuture;
use jiff::{Timestamp, tz::TimeZone};
use reconcile_core::object::FieldError;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use serde::Deserialize;
use serde_json::json;

use super::{
    MetricProvider, Reading, Step, Task,
    checks::{self, filled},
    credentials::Credentials,
    error::ProviderError,
    http::{Call, Reply, secret_header},
};
use crate::api::analysis::{Influxdb, Provider};

/// Name of the Secret when the metric names none.
const DEFAULT_SECRET: &str = "influxdb";
/// Time that a query may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Queries of `InfluxDB`.
pub(super) struct InfluxdbProvider;

impl MetricProvider for InfluxdbProvider {
    fn name(&self) -> &'static str {
        "influxdb"
    }

    fn check(&self, spec: &Provider) -> Result<(), FieldError> {
        let Some(spec) = &spec.influxdb else {
            return Ok(());
        };
        checks::required("influxdb.query", spec.query.as_ref()).map(drop)
    }

    fn deadline(&self, _: &Provider) -> Duration {
        TIMEOUT
    }

    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let spec = task.spec(|provider| provider.influxdb.as_ref())?;
            let call = call(task, spec).await?;
            let reply = task.tools.http.send(call, task.redactor).await?;
            reading(&accepted(reply)?).map(Step::Read)
        })
    }
}

async fn call(task: &Task<'_>, spec: &Influxdb) -> Result<Call, ProviderError> {
    let name = filled(spec.profile.as_ref()).unwrap_or(DEFAULT_SECRET);
    let account = Credentials::read(task, name).await?;
    let server = checks::parse_url(account.required("address")?).map_err(ProviderError::invalid)?;
    let token = account.credential(task, "authToken")?;
    let mut url = checks::below(server, "api/v2/query");
    url.query_pairs_mut()
        .append_pair("org", account.required("org")?);
    let body = json!({
        "query": spec.query,
        "type": "flux",
        "dialect": { "annotations": ["datatype", "group", "default"], "delimiter": ",", "header": true },
    });
    let mut call = Call::post_json(url, &body, TIMEOUT);
    let csv = HeaderValue::from_static("application/csv");
    call.headers.insert(ACCEPT, csv);
    let token = secret_header(&format!("Token {token}"))?;
    call.headers.insert(AUTHORIZATION, token);
    Ok(call)
}

fn accepted(reply: Reply) -> Result<Reply, ProviderError> {
    #[derive(Deserialize)]
    struct Refusal {
        code: String,
        message: String,
    }
    if reply.status.is_success() {
        return Ok(reply);
    }
    match serde_json::from_slice::<Refusal>(&reply.body) {
        Ok(Refusal { code, message }) => {
            let message = format!("{code}: {message}");
            Err(ProviderError::status(reply.status, &reply.headers, message))
        }
        Err(_) => reply.success(),
    }
}

fn reading(reply: &Reply) -> Result<Reading, ProviderError> {
    let values = values(&reply.body)?;
    if values.is_empty() {
        let message = "no results returned from flux query";
        return Err(ProviderError::answer(message));
    }
    let text = Value::list(values.clone()).go_string();
    Ok(Reading::new(AnalysisValue::Values(values), text))
}

/// The table that is being read: its columns by position.
#[derive(Default)]
struct Table {
    types: Vec<String>,
    defaults: Vec<String>,
    /// Positions of `_value` and, in a table of errors, of `error`.
    value: Option<usize>,
    error: Option<usize>,
    has_header: bool,
}

/// The `_value` of each row of each table.
fn values(body: &[u8]) -> Result<Vec<Value>, ProviderError> {
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(body);
    let mut table = Table::default();
    let mut values = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            ProviderError::answer(format!("cannot read the answer as CSV: {error}"))
        })?;
        let cells = || record.iter().map(str::to_owned).collect::<Vec<_>>();
        match record.get(0).unwrap_or_default() {
            // Annotations begin a table.
            "#datatype" => {
                table = Table {
                    types: cells(),
                    ..Table::default()
                };
            }
            "#default" => table.defaults = cells(),
            annotation if annotation.starts_with('#') => {}
            _ if !table.has_header => table.header(&record),
            _ => {
                if let Some(error) = table.error.and_then(|column| record.get(column)) {
                    return Err(ProviderError::answer(error));
                }
                values.push(table.value(&record)?);
            }
        }
    }
    Ok(values)
}

impl Table {
    fn header(&mut self, record: &StringRecord) {
        let position = |name: &str| record.iter().position(|cell| cell == name);
        self.value = position("_value");
        self.error = position("error").filter(|_| position("reference").is_some());
        self.has_header = true;
    }

    /// The value of a row; nil when the table has none or the cell is empty.
    fn value(&self, record: &StringRecord) -> Result<Value, ProviderError> {
        let Some(column) = self.value else {
            return Ok(Value::Nil);
        };
        let cell = record.get(column).filter(|cell| !cell.is_empty());
        let default = self.defaults.get(column).map(String::as_str);
        let Some(text) = cell.or(default.filter(|text| !text.is_empty())) else {
            return Ok(Value::Nil);
        };
        let kind = self.types.get(column).map_or("string", String::as_str);
        typed(kind, text).ok_or_else(|| {
            ProviderError::answer(format!("cannot read {text:?} as a value of type {kind}"))
        })
    }
}

/// A cell with the type that its column has.
fn typed(kind: &str, text: &str) -> Option<Value> {
    Some(match kind {
        "double" => Value::Float(go_text::parse_float(text)?),
        "long" => Value::Int(text.parse().ok()?),
        // What is beyond Go's int64 is beyond the language's integers.
        "unsignedLong" => match text.parse() {
            Ok(int) => Value::Int(int),
            Err(_) => Value::Float(text.parse().ok()?),
        },
        "boolean" => Value::Bool(text != "false"),
        "duration" => Value::Duration(go_text::duration::parse(text).ok()?),
        "base64Binary" => Value::Bytes(go_text::base64_decode(text).ok()?.into()),
        "dateTime:RFC3339" | "dateTime:RFC3339Nano" => {
            let time: Timestamp = text.parse().ok()?;
            Value::Time(Box::new(time.to_zoned(TimeZone::UTC)))
        }
        _ => Value::text(text),
    })
}
