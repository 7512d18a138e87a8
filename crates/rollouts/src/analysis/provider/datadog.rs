//! Datadog: time series (v1) and scalars (v2).

use std::{collections::BTreeMap, time::Duration};

use expressions::analysis::AnalysisValue;
use futures::future::BoxFuture;
use reconcile_core::object::FieldError;
use reqwest::{Url, header::HeaderMap};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    MetricProvider, Reading, Step, Task,
    checks::{self, filled},
    credentials::Credentials,
    error::ProviderError,
    http::{Call, Reply, secret_header},
    numbers,
};
use crate::api::analysis::{Datadog, Provider};

/// Where Datadog is when the credentials name no address.
const DEFAULT_ADDRESS: &str = "https://api.datadoghq.com";
/// Name of the Secret when the metric names none.
const DEFAULT_SECRET: &str = "datadog";
/// Time that a query may take where the metric says nothing.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time until now that is looked at where the metric says nothing.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(300);
/// Groups of a query that are shown; the verdict is made from all of them.
const MOST_GROUPS_SHOWN: usize = 100;

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
                scalars(&accepted(reply)?)
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

/// Address and keys.
struct Account {
    address: String,
    api_key: String,
    app_key: String,
}

impl Account {
    /// The Secret that the metric names; else the environment, else the Secret `datadog`.
    async fn find(task: &Task<'_>, spec: &Datadog) -> Result<Self, ProviderError> {
        let config = &task.tools.config;
        let secret = spec.secret_ref.as_ref();
        let named = secret.and_then(|secret| filled(secret.name.as_ref()));
        let namespace = if secret.is_some_and(|secret| secret.namespaced) {
            &task.request.namespace
        } else {
            &config.namespace
        };
        if named.is_none()
            && let Some(account) = Self::from_environment(task)
        {
            return Ok(account);
        }
        let name = named.unwrap_or(DEFAULT_SECRET);
        let found = Credentials::find(task, namespace, name)
            .await?
            .ok_or_else(|| {
                ProviderError::invalid(format!(
                    "failed to find the credentials for datadog metrics provider: Secret \
                 {namespace}/{name} not found"
                ))
            })?;
        Ok(Self {
            address: found.plain("address").unwrap_or(DEFAULT_ADDRESS).to_owned(),
            api_key: found.credential(task, "api-key")?.to_owned(),
            app_key: found.credential(task, "app-key")?.to_owned(),
        })
    }

    fn from_environment(task: &Task<'_>) -> Option<Self> {
        let read = |name: &str| (task.tools.environment)(name).filter(|text| !text.is_empty());
        let account = Self {
            address: read("DD_ADDRESS").unwrap_or_else(|| DEFAULT_ADDRESS.to_owned()),
            api_key: read("DD_API_KEY")?,
            app_key: read("DD_APP_KEY")?,
        };
        task.redactor.add(&account.api_key);
        task.redactor.add(&account.app_key);
        Some(account)
    }

    fn url(&self, path: &str) -> Result<Url, ProviderError> {
        let server = checks::parse_url(&self.address).map_err(ProviderError::invalid)?;
        Ok(checks::below(server, path))
    }

    fn headers(&self) -> Result<HeaderMap, ProviderError> {
        let mut headers = HeaderMap::new();
        headers.insert("dd-api-key", secret_header(&self.api_key)?);
        headers.insert("dd-application-key", secret_header(&self.app_key)?);
        Ok(headers)
    }
}

fn call(task: &Task<'_>, spec: &Datadog, account: &Account) -> Result<Call, ProviderError> {
    let interval = checks::duration("interval", spec.interval.as_ref(), DEFAULT_INTERVAL)
        .map_err(ProviderError::invalid)?;
    let interval = i64::try_from(interval.as_secs()).unwrap_or(i64::MAX);
    let to = task.now.as_second();
    let from = to.saturating_sub(interval);
    let mut call = if is_v2(spec) {
        let url = account.url("api/v2/query/scalar")?;
        Call::post_json(url, &scalar_request(spec, from, to), timeout(spec))
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

fn scalar_request(spec: &Datadog, from: i64, to: i64) -> Value {
    let aggregator = filled(spec.aggregator.as_ref()).unwrap_or("last");
    let single = spec.query.as_ref().map(|query| ("query".to_owned(), query));
    let several = spec
        .queries
        .iter()
        .map(|(name, query)| (name.clone(), query));
    let queries: Vec<Value> = single
        .into_iter()
        .filter(|(_, query)| !query.is_empty())
        .chain(several)
        .map(|(name, query)| {
            json!({
                "aggregator": aggregator,
                "data_source": "metrics",
                "name": name,
                "query": query,
            })
        })
        .collect();
    let formulas: Vec<Value> = filled(spec.formula.as_ref())
        .into_iter()
        .map(|formula| json!({ "formula": formula }))
        .collect();
    json!({
        "data": {
            "type": "scalar_request",
            "attributes": {
                "from": from.saturating_mul(1000),
                "to": to.saturating_mul(1000),
                "queries": queries,
                "formulas": formulas,
            },
        },
    })
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

/// Answer of `/api/v2/query/scalar`.
#[derive(Deserialize)]
struct ScalarAnswer {
    #[serde(default)]
    data: ScalarData,
    #[serde(default)]
    errors: Value,
}

#[derive(Default, Deserialize)]
struct ScalarData {
    #[serde(default)]
    attributes: Attributes,
    #[serde(default)]
    errors: Value,
}

#[derive(Default, Deserialize)]
struct Attributes {
    #[serde(default)]
    columns: Vec<Column>,
}

/// A column holds numbers, or the tags of the groups that the rows stand for.
#[derive(Default, Deserialize)]
struct Column {
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    values: Vec<Value>,
}

/// The first column of numbers: one number, or a list when the query has groups.
fn scalars(reply: &Reply) -> Result<Reading, ProviderError> {
    let answer: ScalarAnswer = reply.json()?;
    for errors in [&answer.data.errors, &answer.errors] {
        let text = match errors {
            Value::String(text) => text.clone(),
            Value::Array(all) if !all.is_empty() => errors.to_string(),
            _ => continue,
        };
        if !text.is_empty() {
            let message = format!("There were errors in your query: {text}");
            return Err(ProviderError::answer(message));
        }
    }
    let columns = &answer.data.attributes.columns;
    let groups: Vec<&Column> = columns
        .iter()
        .filter(|column| column.kind == "group")
        .collect();
    let is_number = |column: &&Column| matches!(column.kind.as_str(), "" | "number");
    let rows = match columns.iter().find(is_number) {
        Some(column) => rows(column, &groups)?,
        None => Vec::new(),
    };
    let floats: Vec<f64> = rows.iter().map(|(_, value)| *value).collect();
    match floats.first() {
        None => Ok(Reading::new(AnalysisValue::NoFloat, "[]")),
        Some(value) if groups.is_empty() => Ok(Reading::new(
            AnalysisValue::Float(*value),
            numbers::plain(*value),
        )),
        Some(_) => {
            let text = numbers::list(floats.iter().map(|float| numbers::plain(*float)));
            let mut reading = Reading::new(AnalysisValue::Floats(floats), text);
            reading.metadata = shown_groups(rows);
            Ok(reading)
        }
    }
}

/// Numbers with the names of their groups. A group without data has no number and is left out.
fn rows(numbers: &Column, groups: &[&Column]) -> Result<Vec<(String, f64)>, ProviderError> {
    let mut rows = Vec::with_capacity(numbers.values.len());
    for (index, value) in numbers.values.iter().enumerate() {
        if value.is_null() {
            continue;
        }
        let Some(value) = value.as_f64() else {
            let name = &numbers.name;
            let message = format!("could not parse numeric value {value} in column \"{name}\"");
            return Err(ProviderError::answer(message));
        };
        let mut tags = Vec::new();
        for group in groups {
            let names = group.values.get(index).and_then(Value::as_array);
            let names: Option<Vec<&str>> =
                names.and_then(|names| names.iter().map(Value::as_str).collect());
            match names {
                Some(names) if !names.is_empty() => tags.extend(names),
                _ => {
                    let message = format!("could not parse group label at index {index}");
                    return Err(ProviderError::answer(message));
                }
            }
        }
        rows.push((tags.join(","), value));
    }
    Ok(rows)
}

/// Which group gave which number; of very many groups the lowest and the highest ones.
fn shown_groups(mut rows: Vec<(String, f64)>) -> BTreeMap<String, String> {
    let mut metadata = BTreeMap::new();
    if rows.len() > MOST_GROUPS_SHOWN {
        rows.sort_by(|(_, a), (_, b)| a.total_cmp(b));
        let half = MOST_GROUPS_SHOWN / 2;
        rows.drain(half..rows.len() - half);
        metadata.insert("groups_truncated".to_owned(), "true".to_owned());
    }
    let groups: Vec<Value> = rows
        .into_iter()
        .map(|(name, value)| json!({ "name": name, "value": value }))
        .collect();
    metadata.insert("groups".to_owned(), Value::from(groups).to_string());
    metadata
}
