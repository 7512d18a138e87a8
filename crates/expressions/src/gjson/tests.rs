use proptest::prelude::*;

use super::*;

const DOCUMENT: &str =
    r#"{"z": {"b": 1, "a": [1.50, "x"]}, "n": 12345678901234567890, "s": "a\"b"}"#;

#[test]
fn values_keep_their_text() {
    assert_eq!(
        get(DOCUMENT, "z").unwrap().raw(),
        r#"{"b": 1, "a": [1.50, "x"]}"#
    );
    assert_eq!(get(DOCUMENT, "n").unwrap().text(), "12345678901234567890");
    assert_eq!(get(DOCUMENT, "z.a.0").unwrap().raw(), "1.50");
    assert_eq!(get(DOCUMENT, "z.a.0").unwrap().text(), "1.5");
    assert_eq!(get(DOCUMENT, "s").unwrap().text(), "a\"b");
    assert!(get(DOCUMENT, "z.c").is_none());
}

#[test]
fn names_of_a_multipath_need_no_quotes() {
    let json = r#"{"user": {"name": "ann", "age": 7}, "tags": ["b", "a"]}"#;
    for (path, expected) in [
        ("{who:user.name}", r#"{"who":"ann"}"#),
        (
            r#"{who:user.name,"years":user.age}"#,
            r#"{"who":"ann","years":7}"#,
        ),
        ("{user.name,n:tags.#}", r#"{"name":"ann","n":2}"#),
        // Only the first colon ends a name, and none after a modifier.
        (r#"{t:tags.@flatten:{"deep":true}}"#, r#"{"t":["b","a"]}"#),
        (r#"{tags.@pretty:{"indent":""}}.tags"#, ""),
        ("[a:user.name,tags.1]", r#"["ann","a"]"#),
        ("{a b:user.age}", r#"{"a b":7}"#),
        ("{:user.age}", r#"{"age":7}"#),
    ] {
        let found = get(json, path).map(|found| found.raw().to_owned());
        assert_eq!(found.unwrap_or_default(), expected, "{path}");
    }
}

#[test]
fn text_that_is_no_json_has_nothing() {
    assert!(get("{\"a\": 1", "a").is_none());
    assert!(get(DOCUMENT, &"a".repeat(MAX_PATH + 1)).is_none());
    assert!(get(&"[".repeat(100_000), "0.0.0").is_none());
    assert!(get(DOCUMENT, &"@this|".repeat(600)).is_none());
    assert!(get("[[1]]", &"#(".repeat(2_000)).is_none());
}

#[test]
fn costs_are_bounded() {
    let large = format!("[\"{}\"]", "a".repeat(1 << 20));
    assert!(get(&large, &format!("[{}@this]", "@this,".repeat(500))).is_none());
    assert!(get("[1]", "[@this,@this]|".repeat(40).trim_end_matches('|')).is_none());
    assert_eq!(get(&large, "[@this.0,0].#").unwrap().raw(), "2");
}

proptest! {
    #[test]
    fn no_path_panics(path in "[ab0é.|#()@\\[\\]{}\"\\\\*?!=<~,:]{0,24}") {
        let _ = get(r#"{"a": [1, {"b": "é"}, [true, null]], "é": {"0": []}}"#, &path);
        let _ = get(r#"[{"a": 1}, [2], "é"]"#, &path);
    }

    #[test]
    fn no_modifier_panics(path in "(@(this|reverse|keys|values|flatten|join|tostr|fromstr|ugly|pretty)[:.|a0{}\"]{0,4}){0,4}") {
        let _ = get(r#"{"a": [1, {"b": "é"}]}"#, &path);
    }
}
