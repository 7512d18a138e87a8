//! Scalars (`/api/v2/query/scalar`).

use std::collections::BTreeMap;

use expressions::analysis::AnalysisValue;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    analysis::provider::{Reading, checks::filled, error::ProviderError, http::Reply, numbers},
    api::analysis::Datadog,
};

/// Groups of a query that are shown; the verdict is made from all of them.
const MOST_GROUPS_SHOWN: usize = 100;

pub(super) fn request(spec: &Datadog, from: i64, to: i64) -> Value {
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
pub(super) fn reading(reply: &Reply) -> Result<Reading, ProviderError> {
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
