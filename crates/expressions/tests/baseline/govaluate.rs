use std::collections::BTreeMap;

use expressions::go_text;
use expressions::govaluate::{Expression, Value};
use serde_json::{Value as Json, json};

use crate::{Comparison, cases};

const MEANT: &[(&str, &str)] = &[("()", "nothing in parentheses is an error instead of nil")];

fn canonical(value: &Value) -> Json {
    match value {
        Value::Nil => json!({"nil": true}),
        Value::Bool(b) => json!(b),
        Value::Number(n) => json!({"float": go_text::float(*n)}),
        Value::Text(text) => json!(text),
        Value::List(items) => items.iter().map(canonical).collect(),
        Value::Object(map) => json!({"map": map}),
    }
}

#[test]
fn expressions_give_what_go_gives() {
    let values = json!({
        "n": 5, "half": 0.5, "s": "text", "b": true, "no": false, "l": [1, "a"], "nothing": null,
        "date": "2024-01-02", "spaced name": 1, "dash-ed": "x", "Action": "opened",
    });
    let variables: BTreeMap<String, Value> = values
        .as_object()
        .expect("object")
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value)))
        .collect();
    let mut comparison = Comparison::new(MEANT);
    for case in cases(include_str!("govaluate.json")) {
        let text = case["expression"].as_str().expect("expression");
        let ours = Expression::parse(text).and_then(|e| e.evaluate(&variables));
        comparison.case(
            text,
            case.get("value"),
            ours.map(|value| canonical(&value))
                .map_err(|error| error.to_string()),
        );
    }
    comparison.finish(40);
}
