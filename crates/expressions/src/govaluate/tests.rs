use proptest::prelude::*;
use serde_json::json;

use super::*;

fn variables() -> BTreeMap<String, Value> {
    let values = json!({"n": 5, "s": "text", "b": true, "l": [1, "a"], "nothing": null});
    let map = values.as_object().unwrap();
    map.iter()
        .map(|(name, value)| (name.clone(), Value::from(value)))
        .collect()
}

fn run(text: &str) -> Result<Value, String> {
    Expression::parse(text)
        .and_then(|e| e.evaluate(&variables()))
        .map_err(|error| error.to_string())
}

#[test]
fn operators_may_touch() {
    assert_eq!(run("n==-5||!b"), Ok(Value::Bool(false)));
    assert_eq!(run("n>-1&&b"), Ok(Value::Bool(true)));
    assert_eq!(run("0x10"), Ok(Value::Number(16.0)));
}

#[test]
fn errors_name_the_place() {
    for (text, message) in [
        (
            "n >",
            "unexpected end of expression, at column 4 of expression `n >`",
        ),
        (
            "(n",
            "unexpected end of expression, at column 3 of expression `(n`",
        ),
        (
            "n > 'a'",
            "`>` is not defined for number and string, at column 3 of expression `n > 'a'`",
        ),
        (
            "é > 1",
            "no value for `é`, at column 1 of expression `é > 1`",
        ),
        (
            "n 5",
            "unexpected a number, at column 3 of expression `n 5`",
        ),
        ("'a", "string is not closed, at column 1 of expression `'a`"),
    ] {
        assert_eq!(run(text).unwrap_err(), message);
    }
    let error = Expression::parse("n")
        .unwrap()
        .evaluate_bool(&variables())
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "the result is number, not a bool, at column 1 of expression `n`"
    );
}

#[test]
fn variables_are_listed_once() {
    let expression = Expression::parse("[a b] > 1 && c < [a b]").unwrap();
    assert_eq!(expression.variables(), ["a b", "c"]);
}

#[test]
fn long_lists_and_chains_are_fine() {
    let numbers: Vec<String> = (0..450).map(|n| n.to_string()).collect();
    assert_eq!(
        run(&format!("n in ({})", numbers.join(","))),
        Ok(Value::Bool(true))
    );
    assert_eq!(run(&vec!["b"; 450].join(" && ")), Ok(Value::Bool(true)));
    assert!(run(&format!("{}1{}", "(".repeat(90), ")".repeat(90))).is_ok());
}

#[test]
fn costs_are_bounded() {
    for text in [
        "(".repeat(5_000),
        "-".repeat(5_000) + "1",
        "1+".repeat(5_000) + "1",
        "1".repeat(20_000),
    ] {
        assert!(run(&text).is_err());
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "[a1.'\"\\\\()\\[\\]<>=!~&|^+*/%?: ,é-]{0,30}") {
        let _ = run(&text);
    }

    #[test]
    fn no_soup_of_tokens_panics(words in prop::collection::vec(prop::sample::select(vec![
        "n", "s", "b", "l", "nothing", "1", "99", "'a'", "'2024-01-01'", "(", ")", "+", "-", "*", "/", "%", "**",
        "<<", ">>", "&", "|", "^", "~", "!", "==", "<", "=~", "in", "?", ":", "??", ",", "&&", "||",
    ]), 0..12)) {
        let _ = run(&words.join(" "));
    }
}
