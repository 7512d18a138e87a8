//! Go durations: grammar, limits, text form.

use proptest::prelude::*;

use crate::kube_types::GoDuration;

/// Answers of Go 1.26 (`tests/baseline/values/generate`).
const RECORDED: &str = include_str!("../../../tests/baseline/values/durations.json");

#[test]
fn every_recorded_answer_of_go_is_given() {
    let cases: Vec<serde_json::Value> = serde_json::from_str(RECORDED).expect("fixture is JSON");
    assert!(cases.len() >= 40, "the fixture holds the cases");
    for case in cases {
        let input = case["input"].as_str().expect("every case has an input");
        match input.parse::<GoDuration>() {
            Ok(span) => {
                assert_eq!(
                    Some(span.as_nanos()),
                    case["nanos"].as_i64(),
                    "nanos of {input:?}"
                );
                assert_eq!(
                    Some(span.to_string().as_str()),
                    case["text"].as_str(),
                    "text of {input:?}"
                );
            }
            Err(error) => {
                assert_eq!(
                    Some(error.to_string().as_str()),
                    case["error"].as_str(),
                    "error of {input:?}"
                );
            }
        }
    }
}

#[test]
fn a_bare_number_means_seconds_where_the_field_says_so() {
    assert_eq!(
        GoDuration::parse_or_seconds("10"),
        Ok(GoDuration::from_secs(10))
    );
    assert_eq!(
        GoDuration::parse_or_seconds("1m"),
        Ok(GoDuration::from_secs(60))
    );
    assert!(GoDuration::parse_or_seconds("soon").is_err());
    assert!("10".parse::<GoDuration>().is_err());
}

#[test]
fn json_is_text_both_ways() {
    let span: GoDuration = serde_json::from_str("\"90s\"").expect("a duration");
    assert_eq!(serde_json::to_string(&span).expect("text"), "\"1m30s\"");
    assert!(serde_json::from_str::<GoDuration>("90").is_err());
}

proptest! {
    #[test]
    fn what_is_written_reads_back(nanos in any::<i64>()) {
        let span = GoDuration::from_nanos(nanos);
        prop_assert_eq!(span.to_string().parse::<GoDuration>(), Ok(span));
    }

    #[test]
    fn no_text_makes_the_parser_fail_badly(text in "[-+0-9.a-zµ]{0,24}") {
        let _ = text.parse::<GoDuration>();
    }
}
