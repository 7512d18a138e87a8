//! Quantities: grammar, order, canonical form.

use proptest::prelude::*;

use crate::kube_types::Quantity;

/// Answers of `k8s.io/apimachinery` (`tests/baseline/values/generate`).
const RECORDED: &str = include_str!("../../../tests/baseline/values/quantities.json");

#[test]
fn every_recorded_answer_of_kubernetes_is_given() {
    let cases: Vec<serde_json::Value> = serde_json::from_str(RECORDED).expect("fixture is JSON");
    assert!(cases.len() >= 50, "the fixture holds the cases");
    for case in cases {
        let input = case["input"].as_str().expect("every case has an input");
        match input.parse::<Quantity>() {
            Ok(quantity) => {
                let text = quantity.to_string();
                assert_eq!(
                    Some(text.as_str()),
                    case["text"].as_str(),
                    "text of {input:?}"
                );
                assert_eq!(
                    Some(quantity.value()),
                    case["value"].as_i64(),
                    "value of {input:?}"
                );
                // Go overflows where a 64-bit number cannot hold the thousandths; this saturates.
                if quantity.value().checked_mul(1000).is_some() {
                    assert_eq!(
                        Some(quantity.milli_value()),
                        case["milli"].as_i64(),
                        "milli of {input:?}"
                    );
                }
            }
            Err(_) => assert_eq!(case["failed"].as_bool(), Some(true), "{input:?} must parse"),
        }
    }
}

#[test]
fn amounts_are_compared_and_not_spellings() {
    let parse = |text: &str| text.parse::<Quantity>().expect("a quantity");
    assert_eq!(parse("1000m"), parse("1"));
    assert_eq!(parse("1Ki"), parse("1024"));
    assert!(parse("999m") < parse("1"));
    assert!(parse("-1") < parse("0"));
    assert!(parse("1Gi") > parse("1G"));
}

#[test]
fn json_numbers_are_accepted() {
    assert_eq!(
        serde_json::from_str::<Quantity>("2")
            .expect("a number")
            .to_string(),
        "2"
    );
    assert_eq!(
        serde_json::from_str::<Quantity>("0.5")
            .expect("a number")
            .to_string(),
        "500m"
    );
    assert!(serde_json::from_str::<Quantity>("true").is_err());
    assert_eq!(Quantity::canonical("0.1"), Some("100m".to_owned()));
    assert_eq!(Quantity::canonical("lots"), None);
}

proptest! {
    #[test]
    fn the_canonical_form_is_stable_and_keeps_the_amount(
        number in -1_000_000_i64..1_000_000,
        fraction in 0_u32..1000,
        suffix in prop::sample::select(vec!["", "m", "k", "M", "Ki", "Mi", "e3", "e-3", "n"]),
    ) {
        let text = format!("{number}.{fraction:03}{suffix}");
        let quantity: Quantity = text.parse().expect("a quantity");
        let again: Quantity = quantity.to_string().parse().expect("canonical text parses");
        prop_assert_eq!(again, quantity);
        prop_assert_eq!(again.to_string(), quantity.to_string());
    }
}
