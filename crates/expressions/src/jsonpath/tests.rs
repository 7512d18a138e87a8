use proptest::prelude::*;
use serde_json::json;

use super::*;

fn find(path: &str) -> Result<Vec<Value>, String> {
    let data = json!({"a": {"b": [1, {"c.d": "x"}]}, "é": 1, "n": [{"v": 5}, {"v": 7}]});
    JsonPath::parse(path)
        .and_then(|p| {
            p.find(&data)
                .map(|found| found.into_iter().cloned().collect())
        })
        .map_err(|error| error.to_string())
}

#[test]
fn braces_and_root_may_be_left_out() {
    for path in [
        "{$.a.b[0]}",
        "{.a.b[0]}",
        "$.a.b[0]",
        ".a.b[0]",
        "a.b[0]",
        "{ .a.b[0] }",
    ] {
        assert_eq!(find(path), Ok(vec![json!(1)]), "{path}");
    }
}

#[test]
fn errors_name_the_place() {
    for (path, message) in [
        (
            "{.é[}",
            "expected an index or a key, found `}`, at column 5 of path `{.é[}`",
        ),
        ("{.a.x}", "`x` is not found, for path `{.a.x}`"),
        (
            "{.a.b[2]}",
            "index 2 is out of range, the array has 2, for path `{.a.b[2]}`",
        ),
        (
            "{.a} {.b}",
            "expected the end; only one expression is offered, found `{`, at column 6 of path `{.a} {.b}`",
        ),
        (
            "{.n[?(@.v=='x]}",
            "string is not closed, at column 12 of path `{.n[?(@.v=='x]}`",
        ),
    ] {
        assert_eq!(find(path).unwrap_err(), message);
    }
}

#[test]
fn numbers_compare_by_value() {
    assert_eq!(find("{.n[?(@.v==5.0)].v}"), Ok(vec![json!(5)]));
}

#[test]
fn definite_paths_are_known() {
    assert!(JsonPath::parse("$.a['b'][0]").unwrap().is_definite());
    assert!(!JsonPath::parse("$.a[*]").unwrap().is_definite());
}

#[test]
fn costs_are_bounded() {
    assert!(find(&"{..a".repeat(500)).is_err());
    assert!(find(&format!(".n{}", "[*,*,*,*]".repeat(60))).is_err() || find(".n[*]").is_ok());
    assert!(find(&"[?(".repeat(1_000)).is_err());
    let wide = json!(vec![vec![0; 100]; 100]);
    assert!(
        JsonPath::parse(&"[0:,0:,0:]".repeat(40))
            .unwrap()
            .find(&wide)
            .is_err()
    );
}

proptest! {
    #[test]
    fn no_text_panics(path in "[{}$.ab\\[\\]'\"0*?()@=<!:,é\\\\ -]{0,24}") {
        let _ = find(&path);
    }
}
