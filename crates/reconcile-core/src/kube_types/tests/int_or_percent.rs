//! Shares of a total.

use proptest::prelude::*;

use crate::kube_types::{
    IntOrString,
    int_or_percent::{IntOrStringError, Round},
};

#[test]
fn any_text_is_a_percentage_in_the_lenient_rule() {
    let cases = [
        (IntOrString::from(3), 10, Round::Up, Ok(3)),
        ("25%".into(), 10, Round::Up, Ok(3)),
        ("25%".into(), 10, Round::Down, Ok(2)),
        ("50".into(), 10, Round::Down, Ok(5)),
        ("%50%".into(), 10, Round::Down, Ok(5)),
        ("0%".into(), 10, Round::Up, Ok(0)),
        ("150%".into(), 3, Round::Up, Ok(5)),
        ("-10%".into(), 15, Round::Up, Ok(-1)),
        ("-10%".into(), 15, Round::Down, Ok(-2)),
        (
            "half".into(),
            10,
            Round::Up,
            Err(IntOrStringError::NotANumber("half".to_owned())),
        ),
    ];
    for (value, total, round, expected) in cases {
        assert_eq!(
            value.resolve(total, round),
            expected,
            "{value} of {total} {round:?}"
        );
    }
}

#[test]
fn the_strict_rule_wants_the_sign() {
    assert_eq!(
        IntOrString::from("50%").resolve_strict(10, Round::Up),
        Ok(5)
    );
    assert_eq!(
        IntOrString::from("50").resolve_strict(10, Round::Up),
        Err(IntOrStringError::NotAPercentage)
    );
    assert_eq!(IntOrString::from(7).resolve_strict(10, Round::Up), Ok(7));
}

#[test]
fn json_keeps_its_type() {
    for text in ["3", "\"25%\""] {
        let value: IntOrString = serde_json::from_str(text).expect("either form");
        assert_eq!(serde_json::to_string(&value).expect("json"), text);
    }
    assert_eq!(IntOrString::from("8080").as_int(), Some(8080));
    assert!(IntOrString::from("1%").is_percentage());
}

proptest! {
    #[test]
    fn up_and_down_differ_by_at_most_one(percent in 0_i32..=200, total in 0_i32..10_000) {
        let value = IntOrString::String(format!("{percent}%"));
        let up = value.resolve(total, Round::Up).expect("a percentage");
        let down = value.resolve(total, Round::Down).expect("a percentage");
        prop_assert!(up - down <= 1 && up >= down);
        prop_assert_eq!(up == down, (i64::from(percent) * i64::from(total)) % 100 == 0);
    }
}
