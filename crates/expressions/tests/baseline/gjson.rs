use expressions::{gjson, sjson};
use serde_json::{Value as Json, json};

use crate::{Comparison, cases};

const MEANT: &[(&str, &str)] = &[(
    "`bad.@fromstr` in {\"json\":\"{\\\"a\\\":[1,2",
    "Go hands out text that is no JSON",
)];

#[test]
fn gjson_paths_find_what_go_finds() {
    let mut comparison = Comparison::new(MEANT);
    for case in cases(include_str!("gjson.json")) {
        let document = case["document"].as_str().expect("document");
        let path = case["path"].as_str().expect("path");
        let ours = gjson::get(document, path);
        comparison.case(
            &format!("`{path}` in {document:.20}"),
            case.get("value"),
            ours.map(|found| json!({"raw": found.raw(), "text": found.text()}))
                .ok_or_else(|| "nothing".to_owned()),
        );
    }
    comparison.finish(100);
}

const SJSON_MEANT: &[(&str, &str)] = &[(
    "raw  in {\"a\":1}",
    "an empty path is an error instead of an empty key",
)];

/// Text of JSON as a value, so that spaces do not count.
fn value_of(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| json!(text))
}

#[test]
fn sjson_sets_what_go_sets() {
    let mut comparison = Comparison::new(SJSON_MEANT);
    for case in cases(include_str!("sjson.json")) {
        let text = |name: &str| case[name].as_str().unwrap_or_default();
        let (document, path) = (text("document"), text("path"));
        let ours = match text("action") {
            "delete" => sjson::delete(document, path),
            "string" => sjson::set_string(document, path, text("raw")),
            _ => sjson::set_raw(document, path, text("raw")),
        };
        comparison.case(
            &format!("{} {path} in {document}", text("action")),
            case.get("value")
                .map(|value| value_of(value.as_str().expect("text")))
                .as_ref(),
            ours.map(|document| value_of(&document))
                .map_err(|error| error.to_string()),
        );
    }
    comparison.finish(40);
}
