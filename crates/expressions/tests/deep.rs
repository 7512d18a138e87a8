//! No text of a manifest, an event or a provider overflows the stack of a worker thread, however
//! deep it is nested: it is refused, or handled without recursion. Dropping counts too.

use expressions::{
    analysis::{self, AnalysisValue},
    arguments, conditions, cron,
    filter::Filter,
    gjson, gotemplate, govaluate, jsonpath, sjson,
};
use jiff::Timestamp;
use serde_json::json;

/// What a worker thread of tokio has. Debug builds need several times the stack of release builds.
const STACK: usize = 2 << 20;

/// Around the bounds of the languages, at their limits of length, and far beyond.
const DEPTHS: [usize; 9] = [40, 99, 250, 500, 1_000, 2_000, 4_000, 16_000, 100_000];

fn on_a_worker_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(test)
        .expect("a thread")
        .join()
        .expect("no panic");
}

/// `open` as often as `depth`, then `middle`, then `close` as often.
fn nested(open: &str, middle: &str, close: &str, depth: usize) -> String {
    format!("{}{middle}{}", open.repeat(depth), close.repeat(depth))
}

/// Runs `test` on each shape at each depth.
fn for_each_shape(shapes: &'static [(&str, &str, &str)], test: fn(&str)) {
    for_each_shape_at(&DEPTHS, shapes, test);
}

/// Runs `test` on each shape at some depths, where a lookup is slow in a debug build.
fn for_each_shape_at(
    depths: &'static [usize],
    shapes: &'static [(&str, &str, &str)],
    test: fn(&str),
) {
    on_a_worker_stack(move || {
        for &depth in depths {
            for (open, middle, close) in shapes {
                test(&nested(open, middle, close, depth));
            }
        }
    });
}

#[test]
fn expr() {
    for_each_shape(
        &[
            ("(", "1", ")"),
            ("[", "1", "]"),
            ("{a: ", "1", "}"),
            ("-", "1", ""),
            ("!", "true", ""),
            ("not ", "true", ""),
            ("a.", "b", ""),
            ("a?.", "b", ""),
            ("a[", "0", "]"),
            ("a", "", "[0]"),
            ("a", "", "(1)"),
            ("len(", "result", ")"),
            ("1 | ", "len()", ""),
            ("true || ", "true", ""),
            ("1 + ", "1", ""),
            ("2 ** ", "1", ""),
            ("1 < ", "2", ""),
            ("nil ?? ", "1", ""),
            ("true ? ", "1", " : 2"),
            ("true ? 1 : ", "2", ""),
            ("true ?: ", "2", ""),
            ("let a = 1; ", "a", ""),
            ("let a = ", "1", "; a"),
            ("if true { ", "1", " } else { 2 }"),
            ("if true { 1 } else ", "{ 2 }", ""),
            ("map([1], ", "#", ")"),
            ("map([1], {", "#", "})"),
            ("1; ", "1", ""),
            ("\"a\" matches ", "\"a\"", ""),
            ("\"a\" in ", "[]", ""),
            ("/* ", "1", " */"),
            ("\"", "\\", "\""),
        ],
        |text| {
            let result = AnalysisValue::Json(json!({"a": [1]}));
            let _ = analysis::validate(text);
            let _ = analysis::evaluate_value(text, &result);
            if let Ok(filter) = Filter::parse(text) {
                let _ = filter.accepts(&json!({"a": {"a": [1]}}), None);
            }
        },
    );
}

#[test]
fn values_that_expr_makes() {
    on_a_worker_stack(|| {
        let result = AnalysisValue::Float(1.0);
        let evaluate = |text: &str| {
            let _ = analysis::evaluate_value(text, &result);
            if let Ok(filter) = Filter::parse(text) {
                let _ = filter.accepts(&json!({}), None);
            }
        };
        for depth in [100, 1_000, 1_900, 100_000] {
            for body in [
                "[#acc]",
                "{\"a\": #acc}",
                "groupBy([#acc], 1)",
                "filter([#acc], true)",
            ] {
                let deep = format!("reduce(1..{depth}, {body}, [])");
                evaluate(&deep);
                evaluate(&format!("string({deep})"));
                evaluate(&format!("toJSON({deep})"));
                evaluate(&format!("let a = {deep}; a == a"));
                evaluate(&format!("flatten({deep})"));
                evaluate(&format!("{deep} in [{deep}]"));
            }
        }
        // Inside of `map` another subject hides the accumulator, so nothing nests; the last shape doubles and meets the
        // bound of an evaluation before any use of it.
        for body in ["map([1], [#acc])", "[#acc, [#acc]]"] {
            evaluate(&format!("reduce(1..100000, {body}, [])"));
        }
        let error = analysis::evaluate_value("reduce(1..500, [#acc], [])", &result).unwrap_err();
        assert!(error.to_string().contains("nested deeper"), "{error}");
    });
}

#[test]
fn payload_keys() {
    on_a_worker_stack(|| {
        for depth in DEPTHS {
            let filter = Filter::parse("a.a != nil").expect("a filter");
            let _ = filter.accepts(&json!({"a.".repeat(depth): 1}), None);
        }
    });
}

#[test]
fn json_texts_in_expr() {
    on_a_worker_stack(|| {
        for depth in DEPTHS {
            let text = nested("[", "", "]", depth);
            let result = AnalysisValue::String(text.clone());
            let _ = analysis::evaluate_value("fromJSON(result)", &result);
            let filter = Filter::parse("jsonpath(text, \"$..a\") != nil").expect("a filter");
            let _ = filter.accepts(&json!({"text": text}), None);
        }
    });
}

#[test]
fn govaluate_expressions() {
    for_each_shape(
        &[
            ("(", "1", ")"),
            ("-", "1", ""),
            ("!", "true", ""),
            ("~", "1", ""),
            ("1 + ", "1", ""),
            ("2 ** ", "1", ""),
            ("true && ", "true", ""),
            ("true ? ", "1", " : 2"),
            ("1 in (", "1", ")"),
            ("1 in (1, ", "1", ")"),
            ("a ?? ", "1", ""),
            ("'a' =~ ", "'a'", ""),
            ("[a", "", "]"),
        ],
        |text| {
            if let Ok(expression) = govaluate::Expression::parse(text) {
                let _ = expression.evaluate(&std::collections::BTreeMap::new());
                drop(expression.clone());
            }
        },
    );
}

#[test]
fn conditions_of_triggers() {
    for_each_shape(
        &[
            ("(", "a", ")"),
            ("a && ", "b", ""),
            ("a || ", "b", ""),
            ("a && (", "b", ")"),
        ],
        |text| {
            if let Ok(condition) = conditions::Condition::parse(text) {
                let _ = condition.holds(|_| true);
                drop(condition.clone());
            }
        },
    );
}

#[test]
fn json_paths_and_documents() {
    for_each_shape_at(
        &[40, 1_000, 100_000],
        &[
            ("[", "1", "]"),
            ("{\"a\":", "1", "}"),
            ("[{\"a\":", "1", "}]"),
            ("[", "", ""),
            ("{\"a\":", "", ""),
        ],
        |document| {
            if document.len() > 100_000 && !document.starts_with("[[") {
                return;
            }
            for path in [
                "a",
                "0",
                "@this",
                "@flatten:{\"deep\":true}",
                "@pretty",
                "@ugly",
                "@reverse",
                "@keys",
                "@values",
                "@join",
                "@tostr",
                "#.#.#",
                "#(a)#",
                "*",
                "a|@fromstr",
                "{a,b}",
            ] {
                if let Some(found) = gjson::get(document, path) {
                    let _ = (found.text(), found.number(), found.to_json());
                }
            }
            let deep = "a.".repeat(99) + "a";
            for path in ["a", "0", "-1", "a.a.a", "0.0.0", "*", &deep] {
                let _ = sjson::set_raw(document, path, document);
                let _ = sjson::set_string(document, path, "x");
                let _ = sjson::delete(document, path);
            }
            let _ = arguments::substitute_args(document, |_| None);
        },
    );
}

#[test]
fn paths() {
    for_each_shape_at(
        &[40, 1_000, 100_000],
        &[
            ("a.", "b", ""),
            ("a|", "b", ""),
            ("#.", "b", ""),
            ("#(a.", "b", ")"),
            ("#(", "a", ")#"),
            ("[", "a", "]"),
            ("{", "a", "}"),
            ("@pretty|", "a", ""),
            ("{a,[", "a", "]}"),
            ("*.", "a", ""),
            ("\\", "a", ""),
            ("!\"", "a", "\""),
        ],
        |path| {
            let document = r#"{"a": [{"a": {"b": 1}}], "b": [[[[1]]]]}"#;
            let _ = gjson::get(document, path).map(|found| found.to_json());
            let _ = sjson::set_raw(document, path, "1");
            let _ = sjson::delete(document, path);
        },
    );
}

/// Each `@tostr` doubles the quotes of the one before, so the work of a lookup is bounded.
#[test]
fn texts_that_double() {
    for depth in [10, 40] {
        let path = format!("{}@this", "@tostr|".repeat(depth));
        let found = gjson::get(r#"{"a": 1}"#, &path);
        assert_eq!(found.is_some(), depth == 10);
    }
}

#[test]
fn jsonpath_paths() {
    for_each_shape(
        &[
            ("{$.a", "", "}"),
            ("$", "", ".a"),
            ("$", "", "..a"),
            ("$", "", "[0]"),
            ("$[", "0", "]"),
            ("$[?(@.a", "", ")]"),
            ("$", "", "[?(@.a == 1)]"),
            ("{range ", "a", "}{end}"),
            ("$[?(@", "", "[?(@.a)])]"),
            ("$[?(", "@", ")]"),
            ("$['", "a", "']"),
            ("$[0,", "1", "]"),
        ],
        |path| {
            if let Ok(path) = jsonpath::JsonPath::parse(path) {
                let value = json!({"a": [{"a": 1}, [[1]]]});
                let _ = path.find(&value);
                drop(path.clone());
            }
        },
    );
}

#[test]
fn go_templates() {
    for_each_shape(
        &[
            ("{{ (", "1", ") }}"),
            ("{{ ", "(1)", " }}"),
            ("{{ if true }}", "x", "{{ end }}"),
            ("{{ if true }}", "x", ""),
            ("{{ range .Input }}", "x", "{{ end }}"),
            ("{{ with 1 }}", "x", "{{ end }}"),
            ("{{ if true }}{{ else if true }}", "x", "{{ end }}"),
            ("{{ define \"a\" }}", "x", "{{ end }}"),
            ("{{ .a", ".a", " }}"),
            ("{{ 1 | ", "print", " }}"),
            ("{{ block \"a\" . }}", "x", "{{ end }}"),
            ("{{- ", "1", " -}}"),
            ("{{/* ", "", " */}}"),
        ],
        |text| {
            if let Ok(template) = gotemplate::Template::parse(text) {
                let _ = template.render_at(&json!({"Input": {"a": 1}}), Timestamp::UNIX_EPOCH);
            }
        },
    );
    on_a_worker_stack(|| {
        for depth in DEPTHS {
            for text in [
                format!("{{{{ {}1{} }}}}", "(".repeat(depth), ")".repeat(depth)),
                format!("{{{{ {}1 }}}}", "not ".repeat(depth)),
                format!("{{{{ 1{} }}}}", " | print".repeat(depth)),
                format!("{{{{ .{} }}}}", "a.".repeat(depth)),
                format!(
                    "{{{{ if true }}}}1{}{{{{ end }}}}",
                    "{{ else if true }}1".repeat(depth)
                ),
                format!("{{{{ fromJson \"{}\" }}}}", nested("[", "", "]", depth)),
                format!(
                    "{{{{ $a := list 1 }}}}{{{{ range until {depth} }}}}{{{{ $a = list $a }}}}{{{{ end }}}}{{{{ toJson $a }}}}"
                ),
                "{{ define \"t\" }}{{ if true }}{{ template \"t\" . }}{{ end }}{{ end }}{{ template \"t\" . }}"
                    .to_owned(),
            ] {
                if let Ok(template) = gotemplate::Template::parse(&text) {
                    let _ = template.render_at(&json!({"a": 1}), Timestamp::UNIX_EPOCH);
                }
            }
        }
    });
}

#[test]
fn schedules() {
    for_each_shape(
        &[
            ("*,", "*", ""),
            ("* ", "*", ""),
            ("1-", "2", ""),
            ("*/", "2", ""),
            ("@every 1h", "", "1h"),
        ],
        |text| {
            let _ = cron::Schedule::parse(text, "UTC");
        },
    );
}
