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
fn the_stage_distinguishes_text_from_values() {
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
fn long_chains_and_lists_are_fine() {
    let value = AnalysisValue::Float(1.0);
    assert!(evaluate(&vec!["result == 1"; 240].join(" && "), &value).unwrap());
    let list: Vec<String> = (0..2_000).map(|n| n.to_string()).collect();
    assert!(evaluate(&format!("result in [{}]", list.join(", ")), &value).unwrap());
    assert!(evaluate(&format!("{}true{}", "(".repeat(45), ")".repeat(45)), &value).unwrap());
}

/// Lists of which each holds the one before twice, compared at the end.
fn doubling_lists(levels: usize) -> String {
    let lists: Vec<String> = (1..=levels)
        .map(|level| format!("let z{level} = [z{0}, z{0}];", level - 1))
        .collect();
    format!("let z0 = [1, 1]; {} z{levels} == z{levels}", lists.concat())
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
        doubling_lists(20),
        "let l = 1..100000; all(l, # in l)".to_owned(),
        "let l = 1..100000; any(1..1000, l == map(l, # + 1))".to_owned(),
        "let s = repeat(\"a\", 1000000); all(1..10000, s matches \"b$\" or true)".to_owned(),
        "repeat(repeat(\"abc\", 1000000), 1000000)".to_owned(),
        "let s = repeat(\"a\", 900000); len(replace(s, \"a\", s)) > 0".to_owned(),
        "let s = repeat(\"a\", 600000); len(join(split(s, \"\"), s)) > 0".to_owned(),
        format!(
            "let l = 1..900000; len(concat(l{})) > 0",
            ", l".repeat(2000)
        ),
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
