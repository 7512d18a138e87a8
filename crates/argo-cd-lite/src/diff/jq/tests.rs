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
            r#".spec.template.spec.containers[] | select(any(.env[]?; .name == "A") | not)"#,
            &[],
        ),
        (".nothing[]?", &[]),
    ];
    for (expression, expected) in cases.iter().take(cases.len() - 2) {
        assert_eq!(places(expression, &deployment()), *expected, "{expression}");
    }
    assert!(places(".nothing[]?", &deployment()).is_empty());
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
        ("reduce .[] as $x (0; .)", "reduce"),
        ("[range(1e12)]", "a new list"),
        (".a = 1", "assignment"),
        ("env.HOME", "function env"),
        (".a as $x | .b", "as"),
        ("$__loc__", "variable"),
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
