//! Files to targets.

mod dependencies;
mod kept;
mod kustomize;
mod network;
mod tools;

use std::fs;

use serde_json::json;

use super::*;
use crate::{
    api::{ApplicationSource, DirectorySource},
    repo::SourceFile,
};

fn file(path: &str, content: &str) -> SourceFile {
    SourceFile {
        path: path.into(),
        content: content.as_bytes().to_vec(),
    }
}

fn names(
    files: &[SourceFile],
    directory: Option<DirectorySource>,
) -> Result<Vec<String>, RenderError> {
    let folder = tempfile::tempdir().expect("a folder");
    for file in files {
        let path = folder.path().join(&file.path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(&path, &file.content).expect("a file");
    }
    let placement = Placement {
        instance: "app".into(),
        namespace: "dest".into(),
        ..Placement::default()
    };
    let request = RenderRequest {
        app: AppFacts::default(),
        sources: vec![OpenSource {
            source: ApplicationSource {
                path: ".".into(),
                directory,
                ..ApplicationSource::default()
            },
            files: Files::Folder(folder.path().to_owned()),
            revision: String::new(),
        }],
        cluster: ClusterFacts::default(),
        remotes: None,
        kustomize: std::sync::Arc::default(),
    };
    let tools = Tools::new(ToolPaths::default(), folder.path().join("sandboxes"));
    let set = render_once(&request, &placement, &tools, |_, kind| {
        if kind == "Thing" {
            Scope::Unserved
        } else {
            Scope::Namespaced
        }
    })?;
    Ok(set
        .targets
        .iter()
        .map(|target| target.id.name.to_string())
        .collect())
}

fn config_map(name: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n")
}

#[test]
fn documents_lists_and_json_become_objects() {
    let list = format!(
        "---\n{}---\n\n---\nnull\n---\napiVersion: v1\nkind: List\nitems:\n- {}\n",
        config_map("a"),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "b"}})
    );
    let files = [
        file("a.yaml", &list),
        file(
            "c.json",
            &json!({"apiVersion": "v1", "kind": "X", "metadata": {"name": "c"}}).to_string(),
        ),
        file("README.md", "# no manifest"),
        file(
            "skip.yaml",
            &format!("# +argocd:skip-file-rendering\n{}", config_map("d")),
        ),
        file("empty-list.yml", "apiVersion: v1\nkind: List\nitems: []\n"),
    ];
    assert_eq!(names(&files, None).expect("objects"), ["a", "b", "c"]);
}

#[test]
fn a_broken_file_is_an_error_only_when_it_looks_like_a_manifest() {
    let broken = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: [}\n";
    let error = names(&[file("b.yaml", broken)], None).expect_err("a broken manifest");
    assert!(error.to_string().contains("b.yaml"), "{error}");
    let template = "a: {{ .Values.x }}\n";
    assert!(
        names(&[file("t.yaml", template)], None)
            .expect("nothing")
            .is_empty()
    );
    let half = format!("{}---\n{{{{ bad", config_map("a"));
    assert!(names(&[file("h.yaml", &half)], None).is_err());
}

#[test]
fn yaml_that_is_no_manifest_is_left_out() {
    let files = [
        file("a.yaml", &config_map("a")),
        file(
            "values.yaml",
            "replicaCount: 2\nimage: {repository: shop/web, tag: \"1.2\"}\n",
        ),
        file("list.yaml", "- a\n- b: c\n"),
        file("scalar.yaml", "just text\n"),
        file("empty.yaml", ""),
        file(
            "null-items.yaml",
            "apiVersion: v1\nkind: ConfigMapList\nitems: null\n",
        ),
        file("no-items.yaml", "apiVersion: v1\nkind: List\n"),
    ];
    // Without items it is an object of that kind, as upstream takes it.
    let names_of = names(&files[..6], None).expect("objects");
    assert_eq!(names_of, ["a"]);
    let mixed = format!("{}---\nreplicaCount: 2\n", config_map("a"));
    let error = names(&[file("mixed.yaml", &mixed)], None).expect_err("half a manifest");
    assert!(
        error.to_string().contains("a document has no kind"),
        "{error}"
    );
    let like_one = "apiVersion: v1\nkind:\nmetadata: {name: a}\n";
    assert!(names(&[file("like.yaml", like_one)], None).is_err());
}

#[test]
fn lists_may_be_nested_deeply() {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}});
    for _ in 0..40 {
        object = json!({"apiVersion": "v1", "kind": "List", "items": [object]});
    }
    let files = [file("deep.json", &object.to_string())];
    assert_eq!(names(&files, None).expect("objects"), ["a"]);
}

#[test]
fn a_name_that_yaml_takes_for_a_boolean_is_explained() {
    let error = names(&[file("n.yaml", &config_map("n"))], None).expect_err("a boolean");
    let text = error.to_string();
    assert!(
        text.contains("metadata.name is a boolean, not text: put it in quotes"),
        "{text}"
    );
}

#[test]
fn include_and_exclude_choose_and_exclude_wins() {
    let files = [
        file("a.yaml", &config_map("a")),
        file("sub/b.yaml", &config_map("b")),
    ];
    let directory = |include: &str, exclude: &str| {
        Some(DirectorySource {
            recurse: true,
            include: include.into(),
            exclude: exclude.into(),
            ..DirectorySource::default()
        })
    };
    assert_eq!(
        names(&files, directory("sub/*", "")).expect("objects"),
        ["b"]
    );
    assert_eq!(
        names(&files, directory("*", "*b*")).expect("objects"),
        ["a"]
    );
    assert_eq!(
        names(&files, directory("", "{a,x}.yaml")).expect("objects"),
        ["b"]
    );
}

#[test]
fn jsonnet_without_the_program_is_refused_not_ignored() {
    let error = names(&[file("x.jsonnet", "{}")], None).expect_err("Jsonnet");
    assert!(
        error.to_string().contains("jsonnet is not installed"),
        "{error}"
    );
    let exclude = Some(DirectorySource {
        exclude: "*.jsonnet".into(),
        ..DirectorySource::default()
    });
    let none = names(&[file("x.jsonnet", "{}")], exclude).expect("nothing");
    assert!(none.is_empty());
}

#[test]
fn objects_without_a_kind_or_name_are_named_in_the_error() {
    let cases = [
        ("kind: X\nmetadata: {name: a}\n", "apiVersion"),
        ("apiVersion: v1\nmetadata: {name: a}\n", "kind"),
        ("apiVersion: v1\nkind: X\nmetadata: {}\n", "metadata.name"),
    ];
    for (text, field) in cases {
        let error = names(&[file("a.yaml", text)], None).expect_err("incomplete");
        assert!(error.to_string().ends_with(field), "{error}");
    }
}

fn set(objects: Vec<serde_json::Value>) -> TargetSet {
    let placement = Placement {
        instance: "app".into(),
        namespace: "dest".into(),
        ..Placement::default()
    };
    build(objects, &placement, |_, kind| match kind {
        "Namespace" | "CustomResourceDefinition" => Scope::Cluster,
        "Widget" => Scope::Unserved,
        _ => Scope::Namespaced,
    })
}

#[test]
fn targets_get_namespace_and_owner() {
    let set = set(vec![
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "x", "creationTimestamp": null}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "namespace": "wrong"}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "own"}, "data": {"a": "b2xk"}, "stringData": {"a": "new", "b": "x"}}),
    ]);
    insta::assert_snapshot!(
        set.targets.iter().map(|target| target.manifest.to_string()).collect::<Vec<_>>().join("\n"),
        @r#"
    {"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{"argocd.argoproj.io/tracking-id":"app:/ConfigMap:dest/a"},"name":"a","namespace":"dest"}}
    {"apiVersion":"v1","kind":"Namespace","metadata":{"annotations":{"argocd.argoproj.io/tracking-id":"app:/Namespace:dest/n"},"name":"n"}}
    {"apiVersion":"v1","data":{"a":"bmV3","b":"eA=="},"kind":"Secret","metadata":{"annotations":{"argocd.argoproj.io/tracking-id":"app:/Secret:own/s"},"name":"s","namespace":"own"}}
    "#
    );
}

#[test]
fn the_last_of_repeated_objects_wins_and_traffic_is_never_managed() {
    let map = |value: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"k": value}});
    let set = set(vec![
        map("1"),
        map("2"),
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}}),
        json!({"apiVersion": "v1", "kind": "Job", "metadata": {"generateName": "j-"}}),
        json!({"apiVersion": "v1", "kind": "Job", "metadata": {"generateName": "j-"}}),
    ]);
    assert_eq!(set.targets.len(), 3);
    assert!(set.targets[0].manifest.contains("\"k\":\"2\""));
    assert_eq!((set.repeated.len(), set.excluded.len()), (1, 1));
}

#[test]
fn a_kind_that_comes_with_the_same_commit_has_the_scope_of_its_definition() {
    let set = set(vec![
        json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "widgets.x.io"},
            "spec": {"group": "x.io", "scope": "Cluster", "names": {"kind": "Widget"}}}),
        json!({"apiVersion": "x.io/v1", "kind": "Widget", "metadata": {"name": "w"}}),
    ]);
    assert_eq!(&*set.targets[1].id.namespace, "");
    assert!(set.targets[0].defines.is_some());
}

#[test]
fn what_objects_ask_for_and_do_not_get_is_listed() {
    let object = |annotations: serde_json::Value| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "annotations": annotations}});
    let set = set(vec![object(json!({
        "argocd.argoproj.io/sync-options": "Prune=sometimes, Prune=confirm",
    }))]);
    assert_eq!(set.unsupported.len(), 1, "{:?}", set.unsupported);
}

#[test]
fn a_pattern_without_an_answer_refuses_the_source() {
    let files = [file("a.yaml", &config_map("a"))];
    let hostile = "*a".repeat(15_000);
    for pattern in ["{a", &hostile] {
        let include = DirectorySource {
            include: pattern.to_owned(),
            ..DirectorySource::default()
        };
        let exclude = DirectorySource {
            exclude: pattern.to_owned(),
            ..DirectorySource::default()
        };
        for directory in [include, exclude] {
            let error = names(&files, Some(directory)).unwrap_err();
            assert!(matches!(error, RenderError::Pattern { .. }), "{error}");
        }
    }
}

#[test]
fn kinds_that_the_settings_exclude_are_no_targets() {
    let data = [(
        "resource.exclusions".to_owned(),
        "- kinds: [Secret]\n".to_owned(),
    )];
    let (settings, _) = crate::settings::ArgoSettings::parse(&data.into());
    let placement = Placement {
        managed: settings.managed.clone(),
        ..Placement::default()
    };
    let objects = ["Secret", "ConfigMap"]
        .map(|kind| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": "a"}}));
    let set = build(objects.into(), &placement, |_, _| Scope::Namespaced);
    assert_eq!((set.targets.len(), set.excluded.len()), (1, 1));
}

#[test]
fn empty_rules_of_an_aggregated_role_are_left_to_its_controller() {
    let role = |aggregation: serde_json::Value, rules: serde_json::Value| {
        let set = set(vec![json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "a"},
            "aggregationRule": aggregation, "rules": rules,
        })]);
        set.targets[0].value().get("rules").is_some()
    };
    let aggregation = json!({"clusterRoleSelectors": []});
    assert!(!role(aggregation.clone(), json!([])));
    assert!(!role(aggregation.clone(), json!(null)));
    assert!(role(aggregation, json!([{"verbs": ["get"]}])));
    assert!(role(json!(null), json!([])));
}
