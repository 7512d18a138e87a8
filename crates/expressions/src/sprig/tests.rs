//! The functions hold to the budget before they make something.

use super::*;

fn text(text: &str) -> Value {
    Value::String(text.into())
}

#[test]
fn what_would_be_too_large_is_refused_before_it_is_made() {
    let long = text(&"a".repeat(1_000_000));
    let letters = {
        begin(None);
        call("splitList", &[text(""), text(&"a".repeat(100_000))]).expect("within the budget")
    };
    let many = vec![letters.clone(); 1000];
    let calls: [(&str, Vec<Value>); 8] = [
        ("join", vec![long.clone(), letters]),
        ("concat", many),
        ("splitList", vec![text(""), long.clone()]),
        ("split", vec![text("a"), long.clone()]),
        (
            "regexFindAll",
            vec![text("a"), long.clone(), Value::Int(-1)],
        ),
        ("regexSplit", vec![text("a"), long.clone(), Value::Int(-1)]),
        ("replace", vec![text("a"), long.clone(), long.clone()]),
        ("repeat", vec![Value::Int(1000), long]),
    ];
    for (name, args) in calls {
        begin(None);
        let error = call(name, &args).expect_err(name);
        assert_eq!(error, "the template makes too large values", "{name}");
    }
}
