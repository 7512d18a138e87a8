//! Reading against recorded answers of Go; writing against reading.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    Limits, documents, documents_of_bytes, documents_within, json_value, to_string, value, values,
};

/// Answers of `sigs.k8s.io/yaml` (`tests/baseline/yaml/generate`).
const RECORDED: &str = include_str!("../../../tests/baseline/yaml/answers.json");

/// Escapes of JSON, and the version header, that Go's YAML 1.1 library refuses. Accepting them hurts nobody.
const ACCEPTED_HERE: [&str; 3] = [
    "%YAML 1.2\n---\na: yes\n",
    "a: \"a\\tb\\u00e9\\x41\\/\"\n",
    "a: \"\\ud83d\\ude00\"\n",
];

/// Numbers are equal when they are the same number; JSON has one type for them, Rust has three.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => {
            a == b || (!(a.is_i64() && b.is_i64()) && a.as_f64() == b.as_f64())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => left == right,
    }
}

#[test]
fn every_recorded_answer_of_go_is_given() {
    let cases: Vec<Value> = serde_json::from_str(RECORDED).expect("the fixture is JSON");
    assert!(cases.len() >= 60, "the fixture holds the cases");
    let mut wrong = Vec::new();
    for case in &cases {
        let input = case["input"].as_str().expect("every case has an input");
        let expected = case.get("output").map(|text| {
            let text = text.as_str().expect("an output is text");
            serde_json::from_str::<Value>(text).expect("Go's answer is JSON")
        });
        let found = value(input);
        let agrees = match (&found, &expected) {
            (Ok(found), Some(expected)) => same(found, expected),
            (Err(_), None) => true,
            (Ok(_), None) => ACCEPTED_HERE.contains(&input),
            _ => false,
        };
        if !agrees {
            wrong.push(format!("{input:?}: Go {expected:?}, here {found:?}"));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} differ:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn streams_are_split_and_empty_documents_skipped() {
    let text = "---\n# nothing\n---\na: 1\n--- # comment\n\n---\nnull\n---\nb: 2\n";
    let found = documents(text).expect("a stream");
    let seen: Vec<_> = found
        .iter()
        .map(|d| (d.index, d.line, d.value.clone()))
        .collect();
    assert_eq!(
        seen,
        vec![(2, 4, json!({"a": 1})), (5, 10, json!({"b": 2}))]
    );
    assert_eq!(values("").expect("empty"), Vec::<Value>::new());
    assert_eq!(value("# only a comment\n").expect("empty"), Value::Null);
}

#[test]
fn json_objects_may_follow_each_other() {
    assert_eq!(
        values("{\"a\": 1}\n{\"b\": 2.5}").expect("json"),
        vec![json!({"a": 1}), json!({"b": 2.5})]
    );
    // Not JSON, but YAML's flow style.
    assert_eq!(value("{a: yes}").expect("yaml"), json!({"a": true}));
}

#[test]
fn errors_name_document_and_line_of_the_whole_input() {
    let error = documents("a: 1\n---\nb: 2\nc: [\n").expect_err("an open list");
    assert_eq!(error.document, 2);
    assert!(error.line >= 4, "{error}");
    let error = documents("a: 1\n---\nx: y\nb: !!int abc\n").expect_err("not an int");
    assert_eq!(
        error.to_string(),
        "document 2, line 4: cannot decode `abc` as a !!int"
    );
    let error = documents("a: 1\n--- b: 2\n").expect_err("content behind the separator");
    assert_eq!((error.document, error.line), (1, 2));
    let error = documents_of_bytes(b"a: 1\nb: \xff\n").expect_err("not UTF-8");
    assert_eq!(error.line, 2);
}

#[test]
fn a_small_text_cannot_become_a_large_value() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for n in 1..12 {
        let alias = format!("*a{}", n - 1);
        let line = format!("a{n}: &a{n} [{}]\n", vec![alias; 10].join(", "));
        bomb.push_str(&line);
    }
    let error = documents(&bomb).expect_err("too many nodes");
    assert!(error.message.contains("more than 1000000 nodes"), "{error}");
    let deep = "[".repeat(5000);
    assert!(documents(&deep).is_err());
    let nested = |inner: &str| format!("{}{inner}{}", "[".repeat(100), "]".repeat(100));
    let levels = (1..60).map(|n| format!("a{n}: &a{n} {}\n", nested(&format!("*a{}", n - 1))));
    let deep: String = std::iter::once(format!("a0: &a0 {}\n", nested("x")))
        .chain(levels)
        .collect();
    let error = documents(&deep).expect_err("deeper than any stack");
    assert!(error.message.contains("500 levels deep"), "{error}");
    let limits = Limits {
        bytes: 10,
        ..Limits::default()
    };
    assert!(documents_within("a: 1234567890", limits).is_err());
    assert!(documents("a: &x [*x]\n").is_err(), "an alias to itself");
}

#[test]
fn copies_count_in_bytes_and_over_all_documents() {
    let text = "x".repeat(256 << 10);
    let aliases = |count: usize| format!("a: &a {text}\nb: [{}]\n", vec!["*a"; count].join(","));
    let refused = |input: &str| documents(input).expect_err("too much").message;
    assert!(documents(&aliases(100)).is_ok());
    assert!(refused(&aliases(4000)).contains("bytes of text"));
    let documents_of = vec![aliases(100); 40].join("---\n");
    assert!(refused(&documents_of).contains("bytes of text"));
    let merged = format!("a: &a {{k: {text}}}\nb:\n{}", "- <<: *a\n".repeat(4000));
    assert!(refused(&merged).contains("bytes of text"));
    let keys = format!(
        "a: &a\n  ? {text}\n  : 1\nb: [{}]\n",
        vec!["*a"; 4000].join(",")
    );
    assert!(refused(&keys).contains("bytes of text"));
    // Each anchor keeps a copy of all that is inside of it.
    let open: Vec<String> = (0..200).map(|n| format!("&a{n} [")).collect();
    let open = open.concat();
    let nested = format!("{open}{}{}", "0,".repeat(20_000), "]".repeat(200));
    assert!(refused(&nested).contains("nodes"));
    let small = "a: 1\n---\n".repeat(400_000);
    assert!(refused(&small).contains("nodes"));
}

#[test]
fn json_counts_too() {
    let list = format!("{{\"a\": [{}0]}}", "0,".repeat(1_100_000));
    assert!(
        documents(&list)
            .expect_err("too many")
            .message
            .contains("nodes")
    );
    assert!(
        json_value(&list)
            .expect_err("too many")
            .message
            .contains("nodes")
    );
    let stream = "{\"a\": [0]}\n".repeat(300_000);
    assert!(
        documents(&stream)
            .expect_err("too many")
            .message
            .contains("nodes")
    );
    let one = r#"{"a": [1, -2, 1.5, true, null, "\u00fc"], "b": {}}"#;
    assert_eq!(json_value(one).ok(), serde_json::from_str(one).ok());
    for broken in ["", "{", "{} {}", "[1,]"] {
        assert!(json_value(broken).is_err(), "{broken}");
    }
}

#[test]
fn anchors_do_not_cross_documents() {
    assert!(documents("a: &x 1\n---\nb: *x\n").is_err());
}

#[test]
fn the_writer_is_plain_where_it_can_be() {
    let object = json!({
        "kind": "ConfigMap",
        "data": {"on": "yes", "n": "0644", "t": "12:30:45", "text": "a\nb\n", "e": "", "c": "a: b", "p": "/x/y"},
        "list": [1, {"a": [], "b": {}}, [2, 3], "x"],
        "f": 1.5, "none": null, "t": true,
    });
    insta::assert_snapshot!(to_string(&object), @r#"
    data:
      c: "a: b"
      e: ""
      "n": "0644"
      "on": "yes"
      p: /x/y
      t: "12:30:45"
      text: |
        a
        b
    f: 1.5
    kind: ConfigMap
    list:
    - 1
    - a: []
      b: {}
    - - 2
      - 3
    - x
    none: null
    t: true
    "#);
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[ -~\n\t]{0,12}",
        "[-+.0-9eExob_:]{1,8}",
        prop::sample::select(vec![
            "y", "no", "null", "~", "<<", "=", "- a", "? b", "\u{85}", "é ", "a\n\nb", "\n"
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1.0e9_f64..1.0e9).prop_map(|x| Value::from(x + 0.123)),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text.clone(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(json in any_json()) {
        // A document cannot say `null` and count; wrap it.
        let json = json!({"v": json});
        let text = to_string(&json);
        let again = value(&text);
        prop_assert!(again.as_ref().is_ok_and(|again| same(again, &json)), "{text:?} -> {again:?}");
    }

    #[test]
    fn no_text_makes_the_reader_fail_badly(text in "[-:a-c\\[\\]{}&*!|>'\"\n #0-9.<%@]{0,60}") {
        let _ = documents(&text);
    }
}

#[test]
fn a_value_beyond_the_depth_is_refused_with_its_line() {
    let levels = 100_000;
    let deep = format!(
        "ok: 1\nspec: {}1{}\n",
        "{a: ".repeat(levels),
        "}".repeat(levels)
    );
    let error = documents(&deep).expect_err("too deep");
    // The parser has a limit of its own for the flow style.
    let refused = ["levels deep", "recursion limit"]
        .iter()
        .any(|reason| error.message.contains(reason));
    assert_eq!((error.line, refused), (2, true), "{error}");
}
