//! Answers of Prometheus, and of whatever listens at the address of a metric.

use fuzz::Material;
use rollouts::analysis::prometheus_value;

const MATERIAL: Material = Material {
    examples: &[
        r#"{"status":"success","data":{"resultType":"scalar","result":[1700000000.123,"0.95"]}}"#,
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"a":"b"},"value":[1700000000,"NaN"]}]},"warnings":["slow"]}"#,
        r#"{"status":"success","data":{"resultType":"matrix","result":[{"metric":{},"values":[[1,"1"],[2,"+Inf"]]}]}}"#,
        r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#,
    ],
    tokens: &[
        "{",
        "}",
        "[",
        "]",
        "\"",
        ":",
        ",",
        "null",
        "\"NaN\"",
        "\"-Inf\"",
        "1e999",
        "\"0x1p-2\"",
        "\"value\":",
        "\"values\":",
        "\"histogram\":",
        "\"metric\":",
        "\"status\":\"success\"",
        "\\ud800",
    ],
};

#[test]
fn prometheus_answer() {
    fuzz::run(MATERIAL, |text| {
        if let Err(message) = prometheus_value(text.as_bytes()) {
            assert!(!message.is_empty(), "an error says what is wrong");
        }
    });
}
