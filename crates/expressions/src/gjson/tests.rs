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
