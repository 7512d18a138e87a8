//! Conditions of analyses and filters of event sources.

use expressions::{
    analysis::{self, AnalysisValue},
    filter::Filter,
};
use fuzz::Material;
use serde_json::json;

const MATERIAL: Material = Material {
    examples: &[
        "result[0] >= 0.95 && !isNaN(result[0])",
        "all(result, # < 5) ? \"a\" : nil ?? 1",
        "let x = map(1..9, {# * 2}); x[1:3] | filter(# > 2)",
        "body.action in [\"opened\"] and body.n?.m != nil",
        "reduce(1..9, [#acc, #])",
        "sprig.upper(body.action) matches \"^O.*\"",
        "{a: 1, \"b\": [2e3, 0x1f]}.a",
        "date(\"2024-02-29\").Year() + duration(\"1h\").Hours()",
    ],
    tokens: &[
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "#",
        "#acc",
        ".",
        "?.",
        "??",
        "?",
        ":",
        ",",
        ";",
        "|",
        "||",
        "&&",
        "not ",
        "!",
        "-",
        "**",
        "..",
        "\"",
        "'",
        "`",
        "\\",
        " in ",
        " matches ",
        "let a = ",
        "if ",
        " else ",
        "1",
        "9223372036854775807",
        "1e308",
        "map(",
        "reduce(",
        "groupBy(",
        "repeat(",
        "fromJSON(",
        "result",
        "body",
        "toJSON(",
        "sort(",
        "split(",
        "b\"",
    ],
};

#[test]
fn expr() {
    let payload = json!({"body": {"action": "opened", "n": [1, {"m": 2}]}, "a-b.c": 1});
    let result = AnalysisValue::Json(json!([0.99, 1]));
    fuzz::run(MATERIAL, |text| {
        let _ = analysis::validate(text);
        let _ = analysis::evaluate_value(text, &result);
        if let Ok(filter) = Filter::parse(text) {
            let _ = filter.accepts(&payload, None);
        }
    });
}
