use expressions::glob::Glob;
use serde_json::json;

use crate::{Comparison, cases};

const MEANT: &[(&str, &str)] = &[(
    "{a on {a",
    "an open brace is an error; upstream matches nothing without saying so",
)];

#[test]
fn patterns_match_what_go_matches() {
    let mut comparison = Comparison::new(MEANT);
    for case in cases(include_str!("glob.json")) {
        let text = |name: &str| case[name].as_str().expect("text");
        let separators: Vec<char> = text("separators").chars().collect();
        let ours = Glob::new(text("pattern"), &separators);
        comparison.case(
            &format!("{} on {}", text("pattern"), text("text")),
            case.get("value"),
            ours.map(|glob| json!(glob.answer(text("text")).allows()))
                .map_err(|error| error.to_string()),
        );
    }
    comparison.finish(40);
}
