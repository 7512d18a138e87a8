//! Settings as administrators write them.

use std::time::Duration;

use super::*;
use crate::{clusters::ResourceId, diff::IgnoreRules};

fn parse(data: &[(&str, &str)]) -> (ArgoSettings, Vec<String>) {
    let data = data
        .iter()
        .map(|(key, text)| ((*key).to_owned(), (*text).to_owned()))
        .collect();
    let (settings, problems) = ArgoSettings::parse(&data);
    let problems = problems.iter().map(ToString::to_string).collect();
    (settings, problems)
}

#[test]
fn nothing_gives_the_defaults_of_upstream() {
    let (settings, problems) = parse(&[]);
    assert_eq!(problems, [""; 0]);
    assert_eq!(settings.managed.tracking.method, TrackingMethod::Annotation);
    assert_eq!(
        settings.managed.tracking.label,
        "app.kubernetes.io/instance"
    );
    assert_eq!(settings.compare.ignore_status, IgnoreStatus::All);
    assert!(settings.ignore_resource_updates);
    assert!(settings.managed.kinds.excludes("", "Event", "https://x"));
    assert!(
        settings
            .managed
            .kinds
            .excludes("coordination.k8s.io", "Lease", "https://x")
    );
    assert!(
        !settings
            .managed
            .kinds
            .excludes("", "ConfigMap", "https://x")
    );
}

#[test]
fn health_checks_in_both_forms() {
    let (settings, problems) = parse(&[
        (
            "resource.customizations",
            "\"*.example.com/*\":\n  health.lua: |\n    return {}\n  health.lua.useOpenLibs: true\nexample.com/Widget:\n  health.lua: return 1\n",
        ),
        (
            "resource.customizations.health.example.com_Widget",
            "return 2",
        ),
        (
            "resource.customizations.useOpenLibs.example.com_Widget",
            "true",
        ),
        ("resource.customizations.health.ConfigMap", "return 3"),
    ]);
    assert_eq!(problems, [""; 0]);
    let health = |group: &str, kind: &str| {
        let found = settings.customizations.health(group, kind)?;
        Some((found.source.trim().to_owned(), found.open_libraries))
    };
    assert_eq!(
        health("a.example.com", "Thing"),
        Some(("return {}".into(), true))
    );
    assert_eq!(
        health("example.com", "Widget"),
        Some(("return 2".into(), true))
    );
    assert_eq!(health("", "ConfigMap"), Some(("return 3".into(), false)));
    assert_eq!(health("other.com", "Widget"), None);
}

#[test]
fn fields_of_all_kinds_and_of_one_are_joined() {
    let (settings, problems) = parse(&[
        (
            "resource.customizations.ignoreDifferences.all",
            "managedFieldsManagers: [kube-controller-manager]",
        ),
        (
            "resource.customizations.ignoreDifferences.apps_Deployment",
            "jsonPointers: [/spec/replicas]\njqPathExpressions: ['.spec.x']",
        ),
        (
            "resource.customizations.ignoreResourceUpdates.all",
            "jsonPointers: [/status]",
        ),
    ]);
    assert_eq!(problems, [""; 0]);
    let ignored = settings
        .customizations
        .ignored_differences("apps", "Deployment");
    assert_eq!(ignored.len(), 2);
    assert_eq!(ignored[1].json_pointers, ["/spec/replicas"]);
    let others = settings.customizations.ignored_differences("", "Pod");
    assert_eq!(
        others[0].managed_fields_managers,
        ["kube-controller-manager"]
    );
    assert_eq!(others.len(), 1);
    let updates = settings.customizations.ignored_updates("", "Pod");
    assert_eq!(updates[0].json_pointers, ["/status"]);
}

#[test]
fn ignored_fields_become_rules_of_comparisons() {
    let (settings, problems) = parse(&[
        (
            "resource.customizations.ignoreDifferences.apps_Deployment",
            "jsonPointers: [/spec/replicas]",
        ),
        (
            "resource.customizations.ignoreDifferences.all",
            "jsonPointers: [/metadata/labels/x]",
        ),
    ]);
    assert_eq!(problems, [""; 0]);
    let rules = IgnoreRules::default().with_settings(&settings);
    let mut of = rules
        .for_object(&ResourceId::new("apps", "Deployment", "ns", "n"))
        .pointers;
    of.sort_unstable();
    assert_eq!(of, ["/metadata/labels/x", "/spec/replicas"]);
    let of = rules
        .for_object(&ResourceId::new("", "Service", "ns", "n"))
        .pointers;
    assert_eq!(of, ["/metadata/labels/x"]);
}

#[test]
fn kinds_comparisons_tracking_and_times() {
    let (settings, problems) = parse(&[
        (
            "resource.exclusions",
            "- apiGroups: ['*.cilium.io', cilium.io]\n  kinds: [CiliumIdentity]\n  clusters: ['*']\n",
        ),
        (
            "resource.compareoptions",
            "ignoreAggregatedRoles: true\nignoreResourceStatusField: off\n",
        ),
        ("application.resourceTrackingMethod", "annotation+label"),
        ("application.instanceLabelKey", "example.com/app"),
        ("timeout.reconciliation", "300s"),
        ("timeout.reconciliation.jitter", "10"),
        ("resource.health.standardConditions", "true"),
        ("url", "https://argocd"),
        ("application.allowedNodeLabels", "a, example.com/b,"),
        ("unheard.of", "a"),
    ]);
    assert_eq!(problems, [""; 0]);
    assert!(
        settings
            .managed
            .kinds
            .excludes("cilium.io", "CiliumIdentity", "https://x")
    );
    assert!(
        !settings
            .managed
            .kinds
            .excludes("cilium.io", "CiliumNetworkPolicy", "https://x")
    );
    assert!(settings.compare.ignore_aggregated_roles);
    assert_eq!(settings.compare.ignore_status, IgnoreStatus::None);
    assert_eq!(
        settings.managed.tracking.method,
        TrackingMethod::AnnotationAndLabel
    );
    assert_eq!(settings.managed.tracking.label, "example.com/app");
    assert_eq!(settings.reconciliation, Some(Duration::from_secs(300)));
    assert_eq!(
        settings.reconciliation_jitter,
        Some(Duration::from_secs(10))
    );
    assert!(settings.standard_conditions);
    assert_eq!(settings.node_labels, ["a", "example.com/b"]);
    assert_eq!(settings.unsupported, ["unheard.of"]);
}

#[test]
fn inclusions_leave_the_rest_out() {
    let (settings, _) = parse(&[("resource.inclusions", "- apiGroups: [apps]\n")]);
    assert!(
        !settings
            .managed
            .kinds
            .excludes("apps", "Deployment", "https://x")
    );
    assert!(
        settings
            .managed
            .kinds
            .excludes("", "ConfigMap", "https://x")
    );
}

#[test]
fn a_problem_names_its_key_and_leaves_the_rest() {
    let (settings, problems) = parse(&[
        ("application.resourceTrackingMethod", "labels"),
        ("resource.exclusions", "kinds: x"),
        ("resource.customizations.health.a_b_c", "return {}"),
        (
            "resource.customizations.health.example.com_Widget",
            "return {\n  status = \n}",
        ),
        ("resource.customizations.colour.Pod", "blue"),
        (
            "resource.customizations.actions.apps_Deployment",
            "discovery.lua: return {\n",
        ),
        ("timeout.reconciliation", "soon"),
        ("installationID", "one"),
    ]);
    assert_eq!(
        settings.managed.tracking.installation_id.as_deref(),
        Some("one")
    );
    assert_eq!(problems.len(), 7, "{problems:#?}");
    for start in [
        "argocd-cm: application.resourceTrackingMethod: \"labels\" is not one of",
        "argocd-cm: resource.exclusions: ",
        "argocd-cm: resource.customizations.health.a_b_c: \"a_b_c\" is no kind",
        "argocd-cm: resource.customizations.health.example.com_Widget: line 3: ",
        "argocd-cm: resource.customizations.colour.Pod: \"colour\" is not one of",
        "argocd-cm: resource.customizations.actions.apps_Deployment: discovery.lua: line ",
        "argocd-cm: timeout.reconciliation: ",
    ] {
        assert!(
            problems.iter().any(|problem| problem.starts_with(start)),
            "{start} {problems:#?}"
        );
    }
    let kept = settings.customizations.health("example.com", "Widget");
    assert!(kept.is_some(), "objects of the kind say what is wrong");
}
