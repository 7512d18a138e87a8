use expressions::gotemplate::Template;
use serde_json::{Value as Json, json};

use crate::{Comparison, cases};

const MEANT: &[(&str, &str)] = &[
    (
        "{{ $d := dict \"a\" 1 }}{{ $_ := set $d \"b\" 2 }}{{ $d }}",
        "values do not change: set gives a changed copy",
    ),
    (
        "{{ duration 3600 }}",
        "integers are one kind, and upstream takes only int64",
    ),
];

/// The data of `generate/sprig.go`.
const DATA: &str = r#"{"Input":{"name":"guest book","n":5,"big":1000000,"half":0.5,"neg":-3,"yes":true,"no":false,"none":null,"empty":"","list":["c","a","b","a"],"nums":[3,1,2],"map":{"k":"v","z":{"y":"x"}},"text":"line one\nline two","html":"<a href=\"x\">&</a>","camel":"HTTPServerName","date":"2024-02-29","objects":[{"id":1,"t":"p"},{"id":2,"t":"q"}]},"value":"plain"}"#;

#[test]
fn templates_give_what_go_gives() {
    let data: Json = serde_json::from_str(DATA).expect("data is JSON");
    let mut comparison = Comparison::new(MEANT);
    for case in cases(include_str!("sprig.json")) {
        let text = case["template"].as_str().expect("template");
        let ours = Template::parse(text).and_then(|template| template.render(&data));
        comparison.case(
            text,
            case.get("value"),
            ours.map(|text| json!(text))
                .map_err(|error| error.to_string()),
        );
    }
    comparison.finish(60);
}
