//! No text overflows the stack of a worker thread in the functions that walk values: what is nested deeper than the
//! parsers allow is refused, and everything they accept can be compared, checked and written.

use reconcile_core::{
    fields::{self, Field, planned, supported},
    reconcile::{into_merge_diff, merge_diff},
    yaml,
};
use serde_json::{Value, json};

/// What a worker thread of tokio has. Debug builds need several times the stack of release builds.
const STACK: usize = 2 << 20;
/// Far beyond what any parser accepts.
const TOO_DEEP: usize = 100_000;

const TABLE: &[Field] = &[
    supported("spec.a.**"),
    planned("spec.a.a.a", ""),
    supported("spec.{*}.{*}"),
    supported("spec[][].a"),
];

fn on_a_worker_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(test)
        .expect("a thread")
        .join()
        .expect("no panic");
}

/// Lists, maps, and both in turn, with `leaf` inside.
fn texts(depth: usize, leaf: &str) -> [String; 3] {
    [("[", "]", 1), ("{a: ", "}", 1), ("[{a: ", "}]", 2)].map(|(open, close, levels)| {
        let times = depth / levels;
        format!("{}{leaf}{}", open.repeat(times), close.repeat(times))
    })
}

fn walk(old: &Value, new: &Value) {
    for (before, after) in [
        (old, new),
        (old, old),
        (&Value::Null, new),
        (new, &json!({})),
    ] {
        let diff = merge_diff(before, after);
        assert_eq!(diff, into_merge_diff(before, after.clone()));
        assert_eq!(diff.is_none(), before == after);
    }
    assert!(!fields::findings(new, "spec", &[]).is_empty());
    let _ = fields::findings(new, "spec", TABLE);
    let written = yaml::to_string(new);
    // The reader stops nested text earlier than values that aliases repeat.
    match yaml::value(&written) {
        Ok(read) => assert!(read == *new, "{written}"),
        Err(error) => assert!(error.message.contains("recursion limit"), "{error}"),
    }
}

/// Lists, maps, and both in turn, with `leaf` inside.
fn values(depth: usize, leaf: &Value) -> [Value; 3] {
    let nested = |list: fn(usize) -> bool| {
        (0..depth).fold(leaf.clone(), |inner, level| {
            if list(level) {
                json!([inner])
            } else {
                json!({ "a": inner })
            }
        })
    };
    [
        nested(|_| true),
        nested(|_| false),
        nested(|level| level % 2 == 0),
    ]
}

#[test]
fn the_deepest_values_that_yaml_makes_can_be_walked() {
    on_a_worker_stack(|| {
        let deepest = yaml::Limits::default().depth;
        for depth in [1, 100, deepest / 2, deepest] {
            for (old, new) in values(depth, &json!(1))
                .iter()
                .zip(&values(depth, &json!(2)))
            {
                walk(old, new);
            }
        }
        for value in values(deepest + 1, &json!(1)) {
            yaml::value(&yaml::to_string(&value)).expect_err("deeper than the limit");
        }
    });
}

#[test]
fn the_deepest_values_that_json_makes_can_be_walked() {
    on_a_worker_stack(|| {
        for depth in [1, 100, 127] {
            for (old, new) in texts(depth, "1").iter().zip(&texts(depth, "2")) {
                let read = |text: &str| {
                    let text = text.replace("a:", "\"a\":");
                    serde_json::from_str(&text).expect("not deeper than the limit")
                };
                walk(&read(old), &read(new));
            }
        }
    });
}

#[test]
fn deeper_texts_are_refused() {
    on_a_worker_stack(|| {
        let deepest = yaml::Limits::default().depth;
        for depth in [deepest + 2, 2 * deepest, TOO_DEEP] {
            for text in texts(depth, "1") {
                let error = yaml::value(&text).expect_err("too deep");
                assert!(
                    ["levels deep", "recursion limit"]
                        .iter()
                        .any(|reason| error.message.contains(reason)),
                    "{error}"
                );
                serde_json::from_str::<Value>(&text.replace("a:", "\"a\":")).expect_err("too deep");
            }
        }
    });
}
