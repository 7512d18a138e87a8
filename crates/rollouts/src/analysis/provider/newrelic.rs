//! New Relic: NRQL through `NerdGraph`.

use std::time::Duration;

use expressions::{
    analysis::AnalysisValue,
    go_text::json::{COMPACT, to_string},
};
use futures::future::BoxFuture;
use reconcile_core::object::FieldError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    MetricProvider, Reading, Step, Task,
    checks::{self, filled},
    credentials::Credentials,
    error::ProviderError,
    http::{Call, Reply, secret_header},
};
use crate::api::analysis::{NewRelic, Provider};

/// Name of the Secret when the metric names none.
const DEFAULT_SECRET: &str = "newrelic";
/// Seconds that a query may take where the metric says nothing.
const DEFAULT_TIMEOUT: i64 = 5;
/// Seconds beyond the query's own time that its answer may take.
const TRANSFER: i64 = 10;
/// The request: the results of a query in an account.
const GRAPHQL: &str = "query($account: Int!, $query: Nrql!, $timeout: Seconds) { actor { \
    account(id: $account) { nrql(query: $query, timeout: $timeout) { results } } } }";

/// Queries of New Relic.
pub(super) struct NewRelicProvider;

impl MetricProvider for NewRelicProvider {
    fn name(&self) -> &'static str {
        "newRelic"
    }

    fn check(&self, spec: &Provider) -> Result<(), FieldError> {
        let Some(spec) = &spec.new_relic else {
            return Ok(());
        };
        if spec.query.is_empty() {
            return Err(FieldError::new("newRelic.query", "must be set"));
        }
        match spec.timeout {
            None | Some(0..=119) => Ok(()),
            Some(_) => Err(FieldError::new(
                "newRelic.timeout",
                "must be between 1 and 119 seconds",
            )),
        }
    }

    fn deadline(&self, spec: &Provider) -> Duration {
        spec.new_relic.as_ref().map_or(Duration::ZERO, deadline)
    }

    fn run<'a>(&'a self, task: &'a Task<'a>) -> BoxFuture<'a, Result<Step, ProviderError>> {
        Box::pin(async move {
            let spec = task.spec(|provider| provider.new_relic.as_ref())?;
            let call = call(task, spec).await?;
            let reply = task.tools.http.send(call, task.redactor).await?;
            reading(&reply.success()?).map(Step::Read)
        })
    }
}

fn seconds(spec: &NewRelic) -> i64 {
    match spec.timeout {
        Some(seconds @ 1..) => seconds,
        _ => DEFAULT_TIMEOUT,
    }
}

fn deadline(spec: &NewRelic) -> Duration {
    Duration::from_secs(u64::try_from(seconds(spec) + TRANSFER).unwrap_or_default())
}

async fn call(task: &Task<'_>, spec: &NewRelic) -> Result<Call, ProviderError> {
    let name = filled(spec.profile.as_ref()).unwrap_or(DEFAULT_SECRET);
    let account = Credentials::read(task, name).await?;
    let key = secret_header(account.credential(task, "personal-api-key")?)?;
    let id: i64 = account.required("account-id")?.parse().map_err(|_| {
        ProviderError::invalid(format!(
            "could not parse account ID: Secret {name}, key account-id"
        ))
    })?;
    let body = json!({
        "query": GRAPHQL,
        "variables": { "account": id, "query": spec.query, "timeout": seconds(spec) },
    });
    let mut call = Call::post_json(endpoint(&account)?, &body, deadline(spec));
    call.headers.insert("api-key", key);
    Ok(call)
}

/// `NerdGraph` of the region, or where the Secret says.
fn endpoint(account: &Credentials) -> Result<Url, ProviderError> {
    let region = account.plain("region").unwrap_or("us");
    let address = match (
        account.plain("base-url-nerdgraph"),
        region.to_ascii_lowercase().as_str(),
    ) {
        (Some(address), _) => address,
        (None, "us") => "https://api.newrelic.com/graphql",
        (None, "eu") => "https://api.eu.newrelic.com/graphql",
        (None, "staging") => "https://staging-api.newrelic.com/graphql",
        (None, _) => {
            let message = format!("unknown region {region:?}: use us, eu or staging");
            return Err(ProviderError::invalid(message));
        }
    };
    checks::parse_url(address).map_err(ProviderError::invalid)
}

/// The results are one map, or a list of maps when there are several.
fn reading(reply: &Reply) -> Result<Reading, ProviderError> {
    let answer: Value = reply.json()?;
    if let Some(errors) = answer["errors"].as_array().filter(|all| !all.is_empty()) {
        let texts: Vec<&str> = errors
            .iter()
            .filter_map(|error| error["message"].as_str())
            .collect();
        return Err(ProviderError::answer(texts.join("; ")));
    }
    let results = &answer["data"]["actor"]["account"]["nrql"]["results"];
    let results = Vec::<Value>::deserialize(results).unwrap_or_default();
    let value = match <[Value; 1]>::try_from(results) {
        Ok([only]) => only,
        Err(several) => Value::from(several),
    };
    let is_empty = match &value {
        Value::Object(members) => members.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    if is_empty {
        let message = "no results returned from NRQL query";
        return Err(ProviderError::answer(message));
    }
    let text = to_string(&value, COMPACT);
    Ok(Reading::new(AnalysisValue::Json(value), text))
}
