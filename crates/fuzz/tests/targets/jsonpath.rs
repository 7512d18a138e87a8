//! JSON paths of the web provider and of filters.

use expressions::jsonpath::JsonPath;
use fuzz::Material;
use serde_json::json;

const MATERIAL: Material = Material {
    examples: &[
        "{$.data.items[0].value}",
        "$..a[?(@.b >= 2)].c",
        "$['x','y'][-1:]",
        "{.items[*]['a b']}",
        "$[?(@.a == 'x')]",
    ],
    tokens: &[
        "$",
        ".",
        "..",
        "[",
        "]",
        "*",
        "?(",
        "@",
        ")",
        "'",
        "\"",
        "{",
        "}",
        ":",
        ",",
        "-1",
        "==",
        "<=",
        "\\",
        "9999999999999999999",
    ],
};

#[test]
fn jsonpath() {
    let value =
        json!({"data": {"items": [{"value": 1}, {"a": [[2]], "b": 3, "c": "x"}]}, "x": [1, 2]});
    fuzz::run(MATERIAL, |text| {
        if let Ok(path) = JsonPath::parse(text) {
            let _ = path.find(&value);
        }
    });
}
