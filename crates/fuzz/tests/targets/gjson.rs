//! Paths into events, for reading and for writing.

use expressions::{gjson, sjson};
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        "body.commits.#.id",
        "body.#(a==\"x\")#|0",
        "a\\.b.*|@pretty:{\"indent\":\"x\"}",
        "{x,[y.0,z]}|@this",
        "list.-1",
        ":5.a",
        "!\"x\"",
        "@fromstr|a",
    ],
    tokens: &[
        ".",
        "|",
        "#",
        "#(",
        ")#",
        ")",
        "@",
        "@this",
        "@flatten:{\"deep\":true}",
        "@join",
        "@tostr",
        "@fromstr",
        "{",
        "}",
        "[",
        "]",
        "*",
        "?",
        "\\",
        "\"",
        "!",
        "==",
        "%",
        "-1",
        "99999999999",
        ":",
    ],
};

const DOCUMENT: &str = r#"{"body": {"commits": [{"id": "é", "a": "x"}, {"id": 2e5}], "s": "{\"a\":[1]}"}, "list": [[1, [2]], null], "a.b": true}"#;

#[test]
fn gjson() {
    fuzz::run(MATERIAL, |text| {
        if let Some(found) = gjson::get(DOCUMENT, text) {
            let _ = (found.text(), found.number(), found.to_json());
        }
        for document in [DOCUMENT, "", "[]", text] {
            if let Ok(changed) = sjson::set_string(document, text, text) {
                let parsed: Result<serde_json::Value, _> = serde_json::from_str(&changed);
                assert!(
                    parsed.is_ok() || serde_json::from_str::<serde_json::Value>(document).is_err(),
                    "{changed}"
                );
            }
            let _ = sjson::delete(document, text);
        }
        // The document is foreign as well.
        let _ = gjson::get(text, "a.#.b|@pretty");
    });
}
