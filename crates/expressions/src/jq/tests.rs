//! Expressions as users write them.

use serde_json::json;

use super::*;

/// The places as JSON pointers, in the order of removal.
fn places(expression: &str, value: &Value) -> Vec<String> {
    let places = JqPaths::parse(expression)
        .and_then(|paths| paths.places(value))
        .unwrap_or_else(|error| panic!("{expression}: {error}"));
    let pointer = |steps: Vec<Step>| {
        let words = steps.into_iter().map(|step| match step {
            Step::Key(key) => format!("/{key}"),
            Step::Index(index) => format!("/{index}"),
        });
        words.collect::<String>()
    };
    places.into_iter().map(pointer).collect()
}

fn deployment() -> Value {
    json!({
        "metadata": {"annotations": {"a.b/c": "1", "keep": "2"}},
        "spec": {"template": {"spec": {
            "initContainers": [{"name": "inject-sidecar"}],
            "containers": [
                {"name": "app", "image": "i", "env": [{"name": "A"}, {"name": "B"}]},
                {"name": "proxy", "image": "p"},
            ],
        }}},
        "webhooks": [{"clientConfig": {"caBundle": "x"}}, {"clientConfig": {}}],
    })
}

#[test]
fn expressions_lead_to_places() {
    let cases: &[(&str, &[&str])] = &[
        (".spec.replicas", &["/spec/replicas"]),
        (
            ".webhooks[]?.clientConfig.caBundle",
            &[
                "/webhooks/1/clientConfig/caBundle",
                "/webhooks/0/clientConfig/caBundle",
            ],
        ),
        (
            r#".spec.template.spec.initContainers[] | select(.name == "inject-sidecar")"#,
            &["/spec/template/spec/initContainers/0"],
        ),
        (
            r#".spec.template.spec.containers[] | select(.name | startswith("pro")) | .image, .env"#,
            &[
                "/spec/template/spec/containers/1/image",
                "/spec/template/spec/containers/1/env",
            ],
        ),
        (
            r#".spec.template.spec.containers[] | select(.name == "app" and (.env | length) > 1) | .env[] | select(.name == "B" or .name == "C")"#,
            &["/spec/template/spec/containers/0/env/1"],
        ),
        (
            r#".metadata.annotations["a.b/c"]"#,
            &["/metadata/annotations/a.b/c"],
        ),
        (
            r#".metadata.annotations."a.b/c""#,
            &["/metadata/annotations/a.b/c"],
        ),
        (
            ".spec.template.spec.containers[-1].image",
            &["/spec/template/spec/containers/1/image"],
        ),
        (
            r#".. | select(type == "object" and has("caBundle")) | .caBundle"#,
            &["/webhooks/0/clientConfig/caBundle"],
        ),
        (
            r#".spec.template.spec.containers[] | select(.image | test("^P$"; "i"))"#,
            &["/spec/template/spec/containers/1"],
        ),
        (
            r#".spec.template.spec.containers[] | select([.env[]?] | any(.name == "A") | not)"#,
            &["/spec/template/spec/containers/1"],
        ),
        (".nothing[]?", &[]),
    ];
    for (expression, expected) in cases {
        assert_eq!(places(expression, &deployment()), *expected, "{expression}");
    }
}

#[test]
fn what_does_not_fit_is_an_error_and_no_place() {
    for expression in [
        ".metadata[0]",
        ".spec[].x[]",
        ".nothing[]",
        ".spec | length",
    ] {
        let error = JqPaths::parse(expression)
            .expect("an expression")
            .places(&deployment())
            .expect_err(expression);
        assert!(
            matches!(error, JqError::Mismatch(_)),
            "{expression}: {error}"
        );
    }
}

#[test]
fn expressions_that_could_run_for_ever_are_refused_by_name() {
    for (expression, part) in [
        ("last(repeat(1))", "function last"),
        ("def f: f; f", "def"),
        ("foreach .[] as $x (0; .)", "foreach"),
        ("label $out | .", "label"),
        ("[limit(3; .[])]", "function limit with 2 arguments"),
        ("recurse(.)", "function recurse with 1 arguments"),
        ("env.HOME", "function env"),
        ("input", "function input"),
        (".[] as [$x] | .b", "a pattern after as"),
        (r#"test("(a{100}){100}{100}")"#, "regular expression"),
    ] {
        let error = JqPaths::parse(expression).expect_err(expression);
        assert!(error.to_string().contains(part), "{expression}: {error}");
    }
    for broken in ["", ".a |", "select(", ")"] {
        let error = JqPaths::parse(broken).expect_err(broken);
        assert!(matches!(error, JqError::Syntax(_)), "{broken}: {error}");
    }
    for large in ["(".repeat(1000), format!(".{}", "a".repeat(2000))] {
        assert_eq!(JqPaths::parse(&large).err(), Some(JqError::TooLarge));
    }
}

#[test]
fn work_is_bounded() {
    let wide = json!((0..200).collect::<Vec<i32>>());
    let value = json!({"a": wide, "b": {"c": wide}});
    let nested = ".. | . as_is".replace(" . as_is", " .. | ..");
    let slow = format!(".a[] | {}", "(.., .., ..) | ".repeat(20)) + ".";
    for expression in [
        nested.as_str(),
        slow.as_str(),
        ".a[] , .a[] | select(.. == 1)",
    ] {
        let found = JqPaths::parse(expression).and_then(|paths| paths.places(&value));
        assert!(
            !matches!(found, Err(JqError::Syntax(_) | JqError::Unsupported { .. })),
            "{expression}: {found:?}"
        );
    }
    let found = JqPaths::parse(&slow).and_then(|paths| paths.places(&value));
    assert_eq!(found, Err(JqError::TooMany));
}

#[test]
fn long_chains_do_not_exhaust_the_stack() {
    let value = json!({"a": 1});
    for chain in [
        format!("{}.", ".|".repeat(511)),
        format!("{}.", ".,".repeat(511)),
        format!("{}.", ".//".repeat(340)),
        format!("{}.", ". and ".repeat(170)),
        format!(".{}", "?".repeat(1000)),
        format!("{}1", "-".repeat(1000)),
        format!("{}.{}", "[".repeat(32), "]".repeat(32)),
    ] {
        // Whatever the answer is.
        drop(JqPaths::parse(&chain).and_then(|paths| paths.places(&value)));
    }
}

fn output(program: &str, value: &Value) -> Result<Value, JqError> {
    let found = JqProgram::parse(program)?.first(value)?;
    Ok(found.unwrap_or_else(|| json!("nothing")))
}

#[expect(clippy::too_many_lines, reason = "a table")]
#[test]
fn programs_make_the_values_that_jq_makes() {
    let value = json!({
        "a": 1, "text": "Some Text", "list": [3, 1, 2, 1], "none": null, "big": 9_007_199_254_740_993_i64,
        "people": [{"name": "b", "age": 2}, {"name": "a", "age": 1}, {"name": "c", "age": 2}],
        "b64": "aGVsbG8=", "number": "12.50",
    });
    for (program, expected) in [
        ("{x: .a, text}", json!({"x": 1, "text": "Some Text"})),
        (
            r#"{"k\(.a)": [.list[] | . * 2]}"#,
            json!({"k1": [6, 2, 4, 2]}),
        ),
        ("{(.text): .a}", json!({"Some Text": 1})),
        (".a + 1, 2", json!(2)),
        (".big + 1", json!(9_007_199_254_740_994_i64)),
        ("7 / 2, 1", json!(3.5)),
        ("[6 / 2, 7 % 4, 1 - 3, -.a]", json!([3, 3, -2, -1])),
        (".list | add", json!(7)),
        (".list | sort", json!([1, 1, 2, 3])),
        (".list | unique", json!([1, 2, 3])),
        ("[.list | min, max, length]", json!([1, 3, 4])),
        (".list[1:3]", json!([1, 2])),
        (".list[-1:]", json!([1])),
        (".text[:4]", json!("Some")),
        (".people | map(.name) | join(\",\")", json!("b,a,c")),
        (
            ".people | sort_by(.age) | map(.name)",
            json!(["a", "b", "c"]),
        ),
        (".people | group_by(.age) | map(length)", json!([1, 2])),
        (".people | map(select(.age == 2)) | length", json!(2)),
        (
            "[.people[] | {(.name): .age}] | add",
            json!({"a": 1, "b": 2, "c": 2}),
        ),
        (
            "if .a == 1 then \"one\" elif .a == 2 then \"two\" else \"many\" end",
            json!("one"),
        ),
        (".none // \"default\"", json!("default")),
        ("[.missing?, .a.b?]", json!([null])),
        (".a as $x | {$x, y: ($x + 1)}", json!({"x": 1, "y": 2})),
        ("reduce .list[] as $n (0; . + $n)", json!(7)),
        (
            ".text | ascii_downcase | split(\" \")",
            json!(["some", "text"]),
        ),
        (".text | gsub(\"[A-Z]\"; \"x\")", json!("xome xext")),
        (".text | ltrimstr(\"Some \")", json!("Text")),
        (".b64 | @base64d", json!("hello")),
        ("@base64 \"\\(.a)-\\(.text)\"", json!("MQ==-U29tZSBUZXh0")),
        (".text | @uri", json!("Some%20Text")),
        (
            "[(.number | tonumber), (.a | tostring), (.list | tojson)]",
            json!([12.5, "1", "[3,1,2,1]"]),
        ),
        ("{a} | to_entries", json!([{"key": "a", "value": 1}])),
        (
            "{a, text} | with_entries(.key |= ascii_upcase)",
            json!({"A": 1, "TEXT": "Some Text"}),
        ),
        ("{a} | .a += 2 | .b.c = 3", json!({"a": 3, "b": {"c": 3}})),
        ("{a, text} | del(.text)", json!({"a": 1})),
        (
            "{list} | .list |= map(. + 1)",
            json!({"list": [4, 2, 3, 2]}),
        ),
        ("{list} | del(.list[0, 2])", json!({"list": [1, 1]})),
        (
            "{list} | (.list[0], .list[0]) |= empty",
            json!({"list": [1, 2, 1]}),
        ),
        ("{list, none} | keys", json!(["list", "none"])),
        ("[range(3)], 0", json!([0, 1, 2])),
        (
            "[.people[] | .name | select(test(\"[ab]\"))] | reverse",
            json!(["a", "b"]),
        ),
        ("first(.list[])", json!(3)),
        ("[.. | numbers?], 1", json!("unsupported")),
        (".people | any(.age > 1)", json!(true)),
        ("[.list[] | select(. > 5)] | first", json!(null)),
        ("empty", json!("nothing")),
    ] {
        if expected == json!("unsupported") {
            assert!(JqProgram::parse(program).is_err(), "{program}");
            continue;
        }
        assert_eq!(output(program, &value), Ok(expected), "{program}");
    }
    for wrong in [
        ".a.b",
        ".list | join(\",\") | .x",
        ".a / 0",
        "{(.a): 1}",
        "$x",
        ".text - 1",
        ".list.a = 1",
        ".list[5000] = 1",
    ] {
        let found = output(wrong, &value);
        assert!(
            matches!(found, Err(JqError::Mismatch(_))),
            "{wrong}: {found:?}"
        );
    }
}

#[test]
fn programs_have_a_budget_of_values_and_of_levels() {
    let value = json!({"a": "x", "list": (0..1000).collect::<Vec<i32>>()});
    let doubling = format!(".a | {}.", ". + . | ".repeat(60));
    let pairs = format!(". as $r | [{}.] | length", "$r.list[] as $x | ".repeat(6));
    for program in [
        doubling.as_str(),
        pairs.as_str(),
        "[range(1000000000000)]",
        "reduce range(100000) as $i (.; [.])",
        "reduce range(100000) as $i (.; . + {(\"k\\($i)\"): .list})",
        "[.list[] as $x | .list[] as $y | {a: .list}]",
        "reduce .list[] as $i (\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"; . + .)",
    ] {
        assert_eq!(output(program, &value), Err(JqError::TooMany), "{program}");
    }
}

#[test]
fn the_longest_programs_do_not_exhaust_the_stack() {
    let value = json!({"a": 1});
    for chain in [
        format!("{}.", ".|".repeat(199)),
        format!("{}.", ".,".repeat(199)),
        format!("{}.", ".//".repeat(199)),
        format!("{}1", "1+".repeat(199)),
        format!("{}1", "-".repeat(399)),
        format!("{}.", ". as $x|".repeat(79)),
        format!("{}.a{}", "[{a:".repeat(15), "}]".repeat(15)),
        format!("{}.{}", "if . then ".repeat(90), " end".repeat(90)),
    ] {
        assert!(JqProgram::parse(&chain).is_ok(), "{chain}");
        drop(output(&chain, &value));
    }
}

#[test]
fn the_longest_paths_do_not_exhaust_the_stack() {
    let value = json!({"a": 1});
    for chain in [
        format!("{}.", ".|".repeat(99)),
        format!("{}1", "1+".repeat(99)),
        format!("{}1", "-".repeat(199)),
        format!("{}.{}", "with_entries(".repeat(32), ")".repeat(32)),
    ] {
        let paths = JqPaths::parse(&chain).expect(&chain);
        drop(paths.places(&value));
    }
}
