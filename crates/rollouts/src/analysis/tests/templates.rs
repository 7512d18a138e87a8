//! References between templates.

use kube::api::ObjectMeta;
use reconcile_core::{object::Root, watch::Index};
use serde_json::{Value, json};

use crate::{
    analysis::Templates,
    api::analysis::{AnalysisTemplateSpec, TemplateRef},
};

fn put<K: reconcile_core::object::Kind>(
    index: &Index<Root<K>>,
    namespace: Option<&str>,
    name: &str,
    spec: Value,
) {
    let meta = ObjectMeta {
        name: Some(name.into()),
        namespace: namespace.map(Into::into),
        uid: Some(format!("uid-{name}")),
        resource_version: Some("1".into()),
        ..ObjectMeta::default()
    };
    let root = Root::from_value(&json!({ "metadata": meta, "spec": spec })).expect("an object");
    drop(index.written(&meta, root));
}

fn named(name: &str, nested: &[TemplateRef]) -> Value {
    json!({ "metrics": [{ "name": name, "provider": {} }], "templates": nested })
}

fn reference(name: &str, cluster_scope: bool) -> TemplateRef {
    TemplateRef {
        template_name: name.into(),
        cluster_scope,
    }
}

fn metrics(specs: &[AnalysisTemplateSpec]) -> Vec<&str> {
    specs
        .iter()
        .flat_map(|spec| &spec.metrics)
        .map(|metric| metric.name.as_str())
        .collect()
}

#[test]
fn nested_templates_are_taken_once_and_those_of_the_cluster_last() {
    let templates = Templates::default();
    put(
        &templates.namespaced,
        Some("ns"),
        "a",
        named("a", &[reference("c", true), reference("b", false)]),
    );
    put(
        &templates.namespaced,
        Some("ns"),
        "b",
        named("b", &[reference("a", false)]),
    );
    put(&templates.namespaced, Some("other"), "d", named("d", &[]));
    put(&templates.cluster, None, "c", named("c", &[]));
    let found = templates
        .resolve(
            "ns",
            &[
                reference("c", true),
                reference("a", false),
                reference("a", false),
            ],
        )
        .expect("all there");
    assert_eq!(metrics(&found), ["a", "b", "c"]);
}

#[test]
fn a_reference_that_leads_nowhere_is_named() {
    let templates = Templates::default();
    put(&templates.namespaced, Some("other"), "a", named("a", &[]));
    put(
        &templates.namespaced,
        Some("ns"),
        "bad",
        json!({ "metrics": 3 }),
    );
    let message = |name: &str, cluster: bool| {
        templates
            .resolve("ns", &[reference(name, cluster)])
            .expect_err("an error")
            .to_string()
    };
    assert_eq!(message("a", false), "AnalysisTemplate 'a' not found");
    assert_eq!(message("a", true), "ClusterAnalysisTemplate 'a' not found");
    assert!(
        message("bad", false).starts_with("AnalysisTemplate 'bad': spec.metrics: invalid type")
    );
}
