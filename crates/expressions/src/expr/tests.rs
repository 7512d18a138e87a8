use proptest::prelude::*;

use super::analysis::{AnalysisValue, evaluate, evaluate_at, evaluate_value};
use super::{Program, Stage};

fn error(condition: &str) -> String {
    evaluate(condition, &AnalysisValue::Float(1.0))
        .unwrap_err()
        .to_string()
}

#[test]
fn errors_name_the_expression_and_the_place() {
    assert_eq!(
        error("result >\n  \"a\""),
        "`>` is not defined for float64 and string, at 1:8 of expression `result >\n  \"a\"`"
    );
    assert_eq!(
        error("nope"),
        "unknown name `nope`, at 1:1 of expression `nope`"
    );
    assert_eq!(
        error("1 + 1"),
        "expected bool, but got int, at 1:1 of expression `1 + 1`"
    );
    assert_eq!(
        error("true &&\n &"),
        "unexpected `&`, at 2:2 of expression `true &&\n &`"
    );
}

#[test]
fn the_stage_tells_text_from_values() {
    let floats = AnalysisValue::Floats(vec![]);
    assert_eq!(
        evaluate("result[0] > 1", &floats).unwrap_err().stage,
        Stage::Run
    );
    assert_eq!(
        evaluate("result > 1", &floats).unwrap_err().stage,
        Stage::Compile
    );
}

#[test]
fn now_needs_a_clock() {
    let value = AnalysisValue::Float(1.0);
    let now = "2024-02-29T10:00:00Z".parse().unwrap();
    assert!(evaluate("now().Year() == 2024", &value).is_err());
    assert!(evaluate_at("now().Year() == 2024", &value, now).unwrap());
    assert!(evaluate_at("now() - duration(\"24h\") < now()", &value, now).unwrap());
}

#[test]
fn costs_are_bounded() {
    for expensive in [
        "all(1..100000000, # > 0)".to_owned(),
        "all(1..1000, all(1..1000, all(1..1000, # >= 0)))".to_owned(),
        "(".repeat(10_000),
        "1+".repeat(5_000) + "1",
        "-".repeat(10_000) + "1",
        "[".repeat(5_000),
        "a".repeat(20_000),
        format!("{}1{}", "(1<".repeat(30), "<2)".repeat(30)),
        format!(
            "let a = [1, 1]; {} z20 == z20",
            (0..=20)
                .map(|i| {
                    let before = if i == 0 {
                        "a".to_owned()
                    } else {
                        format!("z{}", i - 1)
                    };
                    format!("let z{i} = [{before}, {before}];")
                })
                .collect::<String>()
        ),
        "repeat(repeat(\"abc\", 1000000), 1000000)".to_owned(),
        "\"a\" matches \"((a{1000}){1000}){1000}\"".to_owned(),
    ] {
        assert!(
            evaluate(&expensive, &AnalysisValue::Float(1.0)).is_err(),
            "{expensive:.60}"
        );
    }
}

#[test]
fn a_program_is_reusable() {
    let program = Program::parse("1 < 2").unwrap();
    let host = super::analysis::Surroundings::new(&AnalysisValue::Null, None);
    assert!(program.run_bool(&host).unwrap());
    assert!(program.run_bool(&host).unwrap());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = evaluate_value(&text, &AnalysisValue::Float(1.0));
    }

    #[test]
    fn no_soup_of_tokens_panics(words in prop::collection::vec(prop::sample::select(vec![
        "result", "1", "2.5", "\"a\"", "+", "-", "*", "/", "%", "**", "==", "<", "in", "not", "and", "||",
        "(", ")", "[", "]", "{", "}", ",", ":", ";", "?", "?.", "??", ".", "..", "#", "|", "let", "=", "x",
        "all", "map", "filter", "sum", "len", "max", "date", "duration", "split", "nil", "true", "matches",
        "get", "first", "bitshl", "int", "string", "take", "sortBy", "if", "else", "-9223372036854775808",
    ]), 0..16)) {
        let text = words.join(" ");
        let values = [
            AnalysisValue::Float(f64::NAN),
            AnalysisValue::Floats(vec![1.0, 2.0]),
            AnalysisValue::Json(serde_json::json!({"a": [1, {"b": null}]})),
            AnalysisValue::Null,
        ];
        for value in values {
            let _ = evaluate_value(&text, &value);
        }
    }
}
