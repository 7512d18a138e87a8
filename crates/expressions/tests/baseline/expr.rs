use expressions::analysis::{AnalysisValue, evaluate_value};
use expressions::expr::Value;
use expressions::go_text;
use serde_json::{Value as Json, json};

use crate::{Comparison, cases};

/// Expressions whose answer is not Go's, and why.
const MEANT: &[(&str, &str)] = &[(
    "result.a && true",
    "Go's optimiser drops `&& true` and hands out the number; we insist on a bool at once",
)];

fn measurement(note: &Json) -> AnalysisValue {
    let (kind, text) = note
        .as_object()
        .and_then(|map| map.iter().next())
        .expect("one key");
    let text = text.as_str().expect("text");
    match kind.as_str() {
        "float" => AnalysisValue::Float(text.parse().expect("float")),
        "floats" => {
            let words: Vec<String> = serde_json::from_str(text).expect("list");
            AnalysisValue::Floats(words.iter().map(|w| w.parse().expect("float")).collect())
        }
        "json" => AnalysisValue::Json(serde_json::from_str(text).expect("json")),
        "string" => AnalysisValue::String(text.to_owned()),
        _ => AnalysisValue::Null,
    }
}

fn canonical(value: &Value) -> Json {
    match value {
        Value::Nil => json!({"nil": true}),
        Value::Bool(b) => json!(b),
        Value::Int(i) => json!({"int": i.to_string()}),
        Value::Float(f) => json!({"float": go_text::float(*f)}),
        Value::Str(text) => json!(**text),
        Value::Bytes(bytes) => bytes
            .iter()
            .map(|b| json!({"int": b.to_string()}))
            .collect(),
        Value::List(items) => items.iter().map(canonical).collect(),
        Value::Map(map) => {
            let items: serde_json::Map<_, _> =
                map.iter().map(|(k, v)| (k.clone(), canonical(v))).collect();
            json!({"map": items})
        }
        Value::Groups(groups) => {
            let items: serde_json::Map<_, _> = groups
                .iter()
                .map(|(k, v)| (k.go_string(), canonical(v)))
                .collect();
            json!({"map": items})
        }
        Value::Duration(nanos) => json!({"duration": go_text::duration::format(*nanos)}),
        Value::Time(time) => {
            json!({"time": go_text::time::format(time, go_text::time::RFC3339_NANO)})
        }
        Value::Zone(_) => json!("zone"),
    }
}

#[test]
fn expressions_give_what_go_gives() {
    let mut comparison = Comparison::new(MEANT);
    for case in cases(include_str!("expr.json")) {
        let expression = case["expression"].as_str().expect("expression");
        let ours = evaluate_value(expression, &measurement(&case["result"]));
        comparison.case(
            expression,
            case.get("value"),
            ours.map(|value| canonical(&value))
                .map_err(|error| error.to_string()),
        );
    }
    comparison.finish(60);
}
