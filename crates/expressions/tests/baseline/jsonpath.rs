use expressions::jsonpath::JsonPath;
use serde_json::{Value as Json, json};

use crate::{Comparison, cases};

const MEANT: &[(&str, &str)] = &[
    ("{.a['k.x']}", "Go wants dots escaped inside of quotes too"),
    (
        "{.a[\"k.x\"]}",
        "Go wants dots escaped inside of quotes too",
    ),
    (
        "{.a['b','k.x']}",
        "Go wants dots escaped inside of quotes too",
    ),
    (
        "{.items[0].metadata.labels['app.kubernetes.io/name']}",
        "Go wants dots escaped inside of quotes too",
    ),
    (
        "{.m[*].id}",
        "Go takes `[*]` on arrays only, and `.*` on both",
    ),
    (
        "{.a.list[?(@.v>2)].name}",
        "Go does not compare an integer with a decoded float",
    ),
    ("{.a.list[?()]}", "an empty filter is an error"),
];

/// The data of `generate/jsonpath.go`.
const DATA: &str = r#"{"a":{"b":[1,2,3],"k.x":"dotted","list":[{"name":"x","v":1.5,"ok":true},{"name":"y","v":2.5},{"name":"z","v":3.5,"deep":{"name":"w"}}]},"s":"text","n":null,"t":true,"m":{"one":{"id":"1"}},"items":[{"metadata":{"labels":{"app.kubernetes.io/name":"p"}}}],"empty":[]}"#;

#[test]
fn paths_find_what_go_finds() {
    let data: Json = serde_json::from_str(DATA).expect("data is JSON");
    let mut comparison = Comparison::new(MEANT);
    for case in cases(include_str!("jsonpath.json")) {
        let path = case["path"].as_str().expect("path");
        let ours = JsonPath::parse(path).and_then(|p| p.find(&data).map(|found| json!(found)));
        comparison.case(
            path,
            case.get("value"),
            ours.map_err(|error| error.to_string()),
        );
    }
    comparison.finish(20);
}
