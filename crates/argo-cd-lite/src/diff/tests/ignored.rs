//! What is no difference because a rule says so.

use super::*;

#[test]
fn rules_choose_objects_by_glob_and_name() {
    let rule = |group: &str, kind: &str, name: &str| IgnoreDifference {
        group: group.into(),
        kind: kind.into(),
        name: name.into(),
        json_pointers: vec!["/spec/replicas".into()],
        ..IgnoreDifference::default()
    };
    let id = ResourceId::new("apps", "Deployment", "ns", "web");
    for (rule, expected) in [
        (rule("apps", "Deployment", ""), 1),
        (rule("*", "*", ""), 1),
        (rule("apps", "Deployment", "web"), 1),
        (rule("apps", "Deployment", "other"), 0),
        (rule("", "Deployment", ""), 0),
    ] {
        assert_eq!(
            IgnoreRules::new(&[rule], WebhookChanges::Ignore)
                .for_object(&id)
                .pointers
                .len(),
            expected
        );
    }
}

#[test]
fn ignored_fields_are_copied_from_the_live_object() {
    let mut target = json!({"spec": {"replicas": 1, "list": [{"a": 1}]}});
    let live = json!({"spec": {"replicas": 5, "list": [{"a": 7}], "new": {"deep": true}}, "status": {"x": 1}});
    let pointers = [
        "/spec/replicas",
        "/spec/list/0/a",
        "/spec/new/deep",
        "/spec/absent",
        "/status/x",
    ];
    IgnoredPlaces::at(&pointers).keep_live(&mut target, &live);
    assert_eq!(
        target,
        json!({"spec": {"replicas": 5, "list": [{"a": 7}], "new": {"deep": true}}})
    );
}

/// The rules of one `ignoreDifferences` entry.
fn rules(fields: Value) -> IgnoreRules {
    let mut rule = json!({"group": "*", "kind": "*"});
    let object = rule.as_object_mut().expect("an object");
    object.extend(fields.as_object().expect("an object").clone());
    let rule: IgnoreDifference = serde_json::from_value(rule).expect("a rule");
    IgnoreRules::new(&[rule], WebhookChanges::Ignore)
}

#[test]
fn what_jq_leads_to_and_what_a_manager_owns_is_no_difference() {
    let pods = |replicas: u32, sidecar: &str| {
        json!({
            "metadata": {"name": "n", "managedFields": [
                {"manager": "kube-controller-manager", "operation": "Update", "fieldsV1": {
                    "f:spec": {"f:replicas": {}},
                }},
                {"manager": "injector", "operation": "Update", "fieldsV1": {
                    "f:spec": {"f:containers": {"k:{\"name\":\"proxy\"}": {".": {}, "f:image": {}}}},
                }},
            ]},
            "spec": {"replicas": replicas, "containers": [{"name": "app"}, {"name": "proxy", "image": sidecar}]},
        })
    };
    let (predicted, live) = (pods(1, "a"), pods(5, "b"));
    let id = ResourceId::new("apps", "Deployment", "ns", "n");
    let same = |rules: &IgnoreRules| {
        equal_outcome(
            &predicted,
            &live,
            &rules.for_object(&id),
            WebhookChanges::Ignore,
        )
    };
    assert!(!same(&IgnoreRules::default()));
    let managers = json!({"managedFieldsManagers": ["kube-controller-manager", "injector"]});
    assert!(same(&rules(managers)));
    assert!(!same(&rules(
        json!({"managedFieldsManagers": ["injector"]})
    )));
    assert!(same(&rules(json!({"jqPathExpressions": [
        ".spec.replicas",
        ".spec.containers[] | select(.name == \"proxy\")",
        ".nothing[] | .fits",
    ]}))));
    let found = rules(json!({"jqPathExpressions": [".spec.replicas"]}));
    assert_ne!(found.hash(&id), IgnoreRules::default().hash(&id));
}

#[test]
fn what_is_ignored_is_kept_when_a_sync_respects_it() {
    let live = json!({
        "metadata": {"managedFields": [{"manager": "hpa", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}}]},
        "spec": {"replicas": 5, "containers": [{"name": "proxy", "image": "p"}, {"name": "app", "image": "old", "env": 1}]},
    });
    let mut target =
        json!({"spec": {"replicas": 1, "containers": [{"name": "app", "image": "new", "env": 2}]}});
    let rules = rules(json!({
        "managedFieldsManagers": ["hpa"],
        "jqPathExpressions": [".spec.containers[] | select(.name == \"proxy\")", ".spec.containers[].env"],
    }));
    let id = ResourceId::new("apps", "Deployment", "ns", "n");
    rules.for_object(&id).keep_live(&mut target, &live);
    assert_eq!(
        target,
        json!({"spec": {"replicas": 5, "containers": [
            {"name": "app", "image": "new", "env": 1},
            {"name": "proxy", "image": "p"},
        ]}})
    );
}

#[test]
fn status_and_aggregated_rules_count_as_the_settings_say() {
    let parsed = |text: &str| {
        let data = [("resource.compareoptions".to_owned(), text.to_owned())];
        let (settings, problems) = crate::settings::ArgoSettings::parse(&data.into());
        assert_eq!(problems, []);
        IgnoreRules::default().with_settings(&settings)
    };
    let object = ResourceId::new("", "ConfigMap", "ns", "n");
    let definition = ResourceId::new("apiextensions.k8s.io", "CustomResourceDefinition", "", "n");
    let found = live(json!({"f:data": {"f:a": {}}}), json!({"a": "1"}));
    let mut wanted = desired(json!({"a": "1"}));
    wanted["status"] = json!({"phase": "Ready"});
    for (text, id, same) in [
        ("{}", &object, true),
        ("ignoreResourceStatusField: crd", &object, false),
        ("ignoreResourceStatusField: crd", &definition, true),
        ("ignoreResourceStatusField: none", &definition, false),
    ] {
        let rules = parsed(text);
        let looked = looks_same(&wanted, &found, &rules.for_object(id));
        assert_eq!(looked, same, "{text} {id}");
    }
    let role = |verbs: Value| json!({"aggregationRule": {"x": 1}, "rules": verbs});
    let id = ResourceId::new("rbac.authorization.k8s.io", "ClusterRole", "", "n");
    let same = |rules: &IgnoreRules| {
        let (one, two) = (role(json!([1])), role(json!([2])));
        equal_outcome(&one, &two, &rules.for_object(&id), WebhookChanges::Ignore)
    };
    assert!(same(&parsed("ignoreAggregatedRoles: true")));
    assert!(!same(&parsed("{}")));
}
