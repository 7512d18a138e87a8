//! Tables and types become schemas that a cluster takes.

use schemars::JsonSchema;
use serde_json::{Value, json};

use super::{
    Column, Definition, Descriptions, Scope, Table, Types, compare, core_type, structural,
};

fn schema_of(fields: &Value, types: &Value) -> Value {
    let types = Types::new(types);
    Table {
        kind: "Test",
        fields,
        types: &types,
        descriptions: &Descriptions::default(),
    }
    .schema()
    .expect("a good table")
}

#[test]
fn a_table_becomes_a_structural_schema() {
    let schema = schema_of(
        &json!({"spec!": {
            "replicas": "int32",
            "steps[]": {"setWeight!": "int32", "more": "Named"},
            "queries{}": "string",
            "ports[name,protocol]": {"name!": "string", "protocol": "string default=TCP"},
            "mode": "string enum=a|b",
            "any": "any",
            "when": "time",
            "share": "int-or-string",
        }}),
        &json!({"Named": {"values[set]": "string"}}),
    );
    assert_eq!(schema["required"], json!(["spec"]));
    let spec = &schema["properties"]["spec"]["properties"];
    assert_eq!(
        spec["replicas"],
        json!({"type": "integer", "format": "int32"})
    );
    assert_eq!(spec["steps"]["items"]["required"], json!(["setWeight"]));
    let values = &spec["steps"]["items"]["properties"]["more"]["properties"]["values"];
    assert_eq!(values["x-kubernetes-list-type"], "set");
    assert_eq!(
        spec["queries"]["additionalProperties"],
        json!({"type": "string"})
    );
    assert_eq!(
        spec["ports"]["x-kubernetes-list-map-keys"],
        json!(["name", "protocol"])
    );
    assert_eq!(
        spec["ports"]["items"]["properties"]["protocol"]["default"],
        "TCP"
    );
    assert_eq!(spec["mode"]["enum"], json!(["a", "b"]));
    assert_eq!(
        spec["any"],
        json!({"x-kubernetes-preserve-unknown-fields": true})
    );
    assert_eq!(spec["share"]["x-kubernetes-int-or-string"], true);
    assert_eq!(schema["properties"]["metadata"], json!({"type": "object"}));
}

#[test]
fn mistakes_in_a_table_are_reported_with_their_place() {
    let no_types = Types::default();
    let error = |fields: Value| {
        Table {
            kind: "Test",
            fields: &fields,
            types: &no_types,
            descriptions: &Descriptions::default(),
        }
        .schema()
        .expect_err("a bad table")
        .to_string()
    };
    assert_eq!(
        error(json!({"spec": {"a": "strng"}})),
        ".spec.a: no type \"strng\""
    );
    assert_eq!(
        error(json!({"spec": {"a": "core.Nope"}})),
        ".spec.a: no core type \"Nope\""
    );
    assert_eq!(
        error(json!({"spec": {"a[": "string"}})),
        ".spec: \"a[\" is no field"
    );
    let types = Types::new(&json!({"A": {"b": "A"}}));
    let fields = json!({"spec": "A"});
    let error = Table {
        kind: "Test",
        fields: &fields,
        types: &types,
        descriptions: &Descriptions::default(),
    }
    .schema()
    .expect_err("endless");
    assert!(
        error
            .to_string()
            .ends_with("types contain each other without end")
    );
}

#[test]
fn rows_are_the_paths_of_the_support_ledger() {
    let fields = json!({"spec!": {"t": "core.PodTemplateSpec", "s[]": {"m{}": "string"}, "x": "object-any"}});
    let types = Types::default();
    let rows = Table {
        kind: "Test",
        fields: &fields,
        types: &types,
        descriptions: &Descriptions::default(),
    }
    .rows();
    let paths: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "spec",
            "spec.s[]",
            "spec.s[].m.{*}",
            "spec.t.**",
            "spec.x.**"
        ]
    );
}

#[test]
fn fields_are_described_by_their_topic() {
    let fields = json!({"spec": {"steps[]": {"limit": "int32"}, "more": "Named"}});
    let types = Types::new(&json!({"Named": {"limit": "int32", "key": "string"}}));
    let descriptions = Descriptions::new(&json!({
        "Test.spec.steps": "The steps.", "*.limit": "A limit.", "Named.limit": "Its own.", "*.key": "A key.",
        "*.more.key": "Of no use: the type's name comes first.",
    }));
    let table = Table {
        kind: "Test",
        fields: &fields,
        types: &types,
        descriptions: &descriptions,
    };
    let schema = table.schema().expect("a good table");
    let spec = &schema["properties"]["spec"];
    assert_eq!(spec.get("description"), None);
    let spec = &spec["properties"];
    assert_eq!(spec["steps"]["description"], "The steps.");
    let limit = &spec["steps"]["items"]["properties"]["limit"];
    assert_eq!(limit["description"], "A limit.");
    let named = &spec["more"]["properties"];
    assert_eq!(named["limit"]["description"], "Its own.");
    assert_eq!(named["key"]["description"], "A key.");
    let rows = table.rows();
    let unused = descriptions.unused(rows.iter().map(|row| row.topic.as_str()));
    assert_eq!(unused, ["*.more.key"]);
}

#[test]
fn pod_templates_merge_their_containers() {
    let pod = core_type("PodTemplateSpec").expect("known");
    let spec = &pod["properties"]["spec"]["properties"];
    let containers = &spec["containers"];
    assert_eq!(containers["x-kubernetes-list-type"], "map");
    assert_eq!(containers["x-kubernetes-list-map-keys"], json!(["name"]));
    let container = &containers["items"]["properties"];
    assert_eq!(
        container["ports"]["x-kubernetes-list-map-keys"],
        json!(["containerPort", "protocol"])
    );
    assert_eq!(
        container["ports"]["items"]["properties"]["protocol"]["default"],
        "TCP"
    );
    assert_eq!(
        container["volumeMounts"]["x-kubernetes-list-map-keys"],
        json!(["mountPath"])
    );
    assert_eq!(
        spec["volumes"]["x-kubernetes-list-map-keys"],
        json!(["name"])
    );
    let limits = &container["resources"]["properties"]["limits"]["additionalProperties"];
    assert_eq!(limits["x-kubernetes-int-or-string"], true);
    let port = &container["livenessProbe"]["properties"]["httpGet"]["properties"]["port"];
    assert_eq!(port["x-kubernetes-int-or-string"], true);
    assert!(pod["properties"]["metadata"]["properties"]["labels"].is_object());
    let text = pod.to_string();
    assert!(
        !text.contains("$ref") && !text.contains("description") && !text.contains("anyOf\":[{\"$")
    );
}

/// The rule of the API server: the keys of a keyed list are required or have a default.
#[test]
fn keys_of_keyed_lists_always_have_a_value() {
    fn check(schema: &Value, path: &str) {
        if let Some(keys) = schema["x-kubernetes-list-map-keys"].as_array() {
            let items = &schema["items"];
            for key in keys {
                let name = key.as_str().expect("a key is text");
                let required = items["required"]
                    .as_array()
                    .is_some_and(|list| list.contains(key));
                let default = items["properties"][name].get("default").is_some();
                assert!(required || default, "{path}: {name}");
            }
        }
        for (name, child) in schema["properties"].as_object().into_iter().flatten() {
            check(child, &format!("{path}.{name}"));
        }
        for key in ["items", "additionalProperties"] {
            if let Some(child) = schema.get(key) {
                check(child, &format!("{path}[]"));
            }
        }
    }
    for name in ["PodTemplateSpec", "JobSpec"] {
        check(&core_type(name).expect("known"), name);
    }
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is read")]
struct Sample {
    /// A sentence that must not end up in the schema.
    count: Option<u32>,
    mode: Option<Mode>,
    inner: Inner,
    list: Vec<Inner>,
    map: std::collections::BTreeMap<String, i64>,
    free: Value,
    #[schemars(with = "k8s_openapi::apimachinery::pkg::util::intstr::IntOrString")]
    share: Option<i32>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is read")]
struct Inner {
    name: Option<String>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only the schema is read")]
enum Mode {
    /// First.
    Fast,
    /// Second.
    Slow,
}

#[test]
fn rust_types_become_structural_schemas() {
    let schema = structural(&schemars::schema_for!(Sample).to_value());
    let properties = &schema["properties"];
    assert_eq!(properties["count"]["type"], "integer");
    assert_eq!(properties["count"].get("format"), None);
    assert_eq!(
        properties["mode"],
        json!({"type": "string", "enum": ["Fast", "Slow"]})
    );
    assert_eq!(
        properties["inner"]["properties"]["name"],
        json!({"type": "string"})
    );
    assert_eq!(properties["list"]["items"], properties["inner"]);
    assert_eq!(properties["map"]["additionalProperties"]["type"], "integer");
    assert_eq!(
        properties["free"],
        json!({"x-kubernetes-preserve-unknown-fields": true})
    );
    assert_eq!(properties["share"]["x-kubernetes-int-or-string"], true);
    assert!(!schema.to_string().contains("description"));
}

fn definition(schema: Value) -> Definition {
    Definition {
        group: "example.org".to_owned(),
        version: "v1".to_owned(),
        kind: "Thing".to_owned(),
        plural: "things".to_owned(),
        singular: "thing".to_owned(),
        short_names: vec!["th".to_owned()],
        scope: Scope::Namespaced,
        columns: vec![Column {
            name: "Phase".to_owned(),
            kind: "string".to_owned(),
            path: ".status.phase".to_owned(),
            priority: 0,
            description: String::new(),
        }],
        subresources: json!({"status": {}}),
        labels: Value::Null,
        schema,
    }
}

#[test]
fn comparing_finds_what_ours_lacks_and_not_what_it_has_more() {
    let small = json!({"spec!": {"a": "int32", "b[]": {"c": "string"}}});
    let large =
        json!({"spec!": {"a": "int32", "b[]": {"c": "string", "d!": "string"}, "e": "bool"}});
    let object = |fields: &Value| definition(schema_of(fields, &json!({}))).to_value(&json!({}));
    assert_eq!(compare(&object(&small), &object(&small)), vec![]);
    let lines = |ours: &Value, other: &Value| -> Vec<String> {
        compare(ours, other)
            .iter()
            .map(ToString::to_string)
            .collect()
    };
    assert_eq!(
        lines(&object(&small), &object(&large)),
        [".spec.b[].d: missing", ".spec.e: missing"]
    );
    assert_eq!(
        lines(&object(&large), &object(&small)),
        Vec::<String>::new()
    );
    let stricter = json!({"spec!": {"a!": "string enum=x", "b[]": {"c": "string"}}});
    assert_eq!(
        lines(&object(&stricter), &object(&small)),
        [
            ".spec: ours requires \"a\"",
            ".spec.a: type: ours \"string\", other \"integer\"",
            ".spec.a: format: ours nothing, other \"int32\"",
            ".spec.a: ours allows fewer values",
        ]
    );
    let mut renamed = object(&small);
    renamed["spec"]["names"]["shortNames"] = json!(["x"]);
    renamed["spec"]["versions"][0]["subresources"] = json!({});
    assert_eq!(lines(&renamed, &object(&small)).len(), 2);
}
