//! Selectors in both forms.

use std::collections::BTreeMap;

use serde_json::json;

use crate::kube_types::{LabelSelector, Selector, selector::SelectorError};

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect()
}

#[test]
fn the_text_form_selects_as_kubernetes_does() {
    let object = labels(&[("app", "web"), ("tier", "front"), ("n", "5")]);
    let cases = [
        ("", true),
        ("app=web", true),
        ("app==web,tier!=back", true),
        ("app=db", false),
        ("missing!=x", true),
        ("app in (web, db)", true),
        ("app notin (db,web)", false),
        ("missing notin (a)", true),
        ("app", true),
        ("!app", false),
        ("!missing , tier", true),
        ("n>4,n<6", true),
        ("n>5", false),
        ("app>1", false),
        ("app=", false),
    ];
    for (text, expected) in cases {
        let selector: Selector = text.parse().expect(text);
        assert_eq!(selector.matches(&object), expected, "{text}");
        let again: Selector = selector.to_string().parse().expect("written form parses");
        assert_eq!(again, selector, "{text} written as {selector}");
    }
}

#[test]
fn nonsense_is_refused() {
    for text in [
        "a=b c",
        "app in web",
        "app within (a)",
        "a b",
        "=x",
        "n>x",
        "a,,b",
    ] {
        assert!(text.parse::<Selector>().is_err(), "{text} must not parse");
    }
}

#[test]
fn the_structured_form_selects_and_is_checked() {
    let parse = |value| -> Result<Selector, SelectorError> {
        let raw: LabelSelector = serde_json::from_value(value).expect("shape");
        Selector::try_from(&raw)
    };
    let selector = parse(json!({
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["front", "edge"]},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    }))
    .expect("valid");
    assert_eq!(selector.to_string(), "app=web,!old,tier in (edge,front)");
    assert!(selector.matches(&labels(&[("app", "web"), ("tier", "edge")])));
    assert!(!selector.matches(&labels(&[("app", "web"), ("tier", "edge"), ("old", "")])));
    assert!(parse(json!({})).expect("empty").is_everything());

    let bad = |operator, values: &[&str]| {
        parse(json!({"matchExpressions": [{"key": "a", "operator": operator, "values": values}]}))
    };
    assert_eq!(
        bad("Near", &["x"]),
        Err(SelectorError::Operator("Near".to_owned()))
    );
    assert_eq!(bad("In", &[]), Err(SelectorError::Values("a".to_owned())));
    assert_eq!(
        bad("Exists", &["x"]),
        Err(SelectorError::Values("a".to_owned()))
    );
    assert_eq!(
        bad("In", &["a b"]),
        Err(SelectorError::Value("a b".to_owned()))
    );
}
