//! Operations that are refused, or that need more than one try.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_gets_no_namespace_and_no_labels_on_one() {
    let (bed, _) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.project(&json!({}));
    bed.api
        .put(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ns"}}));
    bed.application(&json!({
        "automated": {}, "syncOptions": ["CreateNamespace=true"], "retry": {"limit": 0},
        "managedNamespaceMetadata": {"labels": {"pod-security.kubernetes.io/enforce": "privileged"}},
    }));
    let operator = bed.controller().await;
    let message = bed.until_failed().await;
    assert!(
        message.contains("Namespace ns is not permitted in project default"),
        "{message}"
    );
    let namespace = bed.api.get("namespaces", "", "ns").expect("the namespace");
    assert_eq!(
        namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"],
        Value::Null
    );
    assert_eq!(bed.api.get("configmaps", "ns", "a"), None);
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revision_that_does_not_exist_fails_the_operation_at_once() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        app["operation"] =
            json!({"sync": {"revision": "1234567890123456789012345678901234567890"}});
    });
    let message = bed.until_failed().await;
    assert!(
        message.contains("does not have revision 12345"),
        "{message}"
    );
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_source_of_an_operation_must_be_permitted() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.project(&json!({"sourceRepos": [bed.origin.url()]}));
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    let other = Origin::new();
    other
        .write("app/b.yaml", &config_map("b", "1"))
        .commit("theirs");
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        app["operation"] = json!({"sync": {"source": {"repoURL": other.url(), "path": "app"}}});
    });
    let message = bed.until_failed().await;
    assert!(
        message.contains("is not permitted in project 'default'"),
        "{message}"
    );
    assert_eq!(bed.api.get("configmaps", "ns", "b"), None);
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_in_a_later_wave_does_not_hold_up_an_earlier_one() {
    let later = config_map("z", "1").replace(
        "metadata: {",
        "metadata: {annotations: {argocd.argoproj.io/sync-wave: \"5\"}, ",
    );
    let (bed, _) = Bed::with(&[
        ("app/a.yaml", &config_map("a", "1")),
        ("app/b.yaml", &config_map("b", "1")),
        ("app/z.yaml", &later),
    ]);
    bed.api.fail(
        Fault::status("patch", "configmaps", 422, "Invalid")
            .named("z")
            .times(9),
    );
    bed.application(&json!({"automated": {}, "retry": {"limit": 0}}));
    let operator = bed.controller().await;
    bed.until_failed().await;
    assert!(bed.api.get("configmaps", "ns", "a").is_some());
    assert!(bed.api.get("configmaps", "ns", "b").is_some());
    assert_eq!(bed.api.get("configmaps", "ns", "z"), None);
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dry_run_that_misses_what_the_sync_brings_stops_nothing() {
    let (bed, commit) = Bed::with(&[
        ("app/a.yaml", &config_map("a", "1")),
        ("app/b.yaml", &config_map("b", "1")),
    ]);
    // As the admission of service accounts answers to the dry run.
    bed.api.fail(
        Fault::status("patch", "configmaps", 403, "Forbidden")
            .named("b")
            .times(1),
    );
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_object_that_is_forced_is_replaced_after_its_dry_run_is_refused() {
    let forced = |value: &str| {
        config_map("a", value).replace(
            "metadata: {",
            "metadata: {annotations: {argocd.argoproj.io/sync-options: \"Force=true,Replace=true\"}, ",
        )
    };
    let (bed, first) = Bed::with(&[
        ("app/a.yaml", &forced("1")),
        ("app/b.yaml", &config_map("b", "1")),
    ]);
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until_synced(&first).await;
    let uid = |bed: &Bed| {
        bed.api
            .get("configmaps", "ns", "a")
            .map(|object| object["metadata"]["uid"].clone())
    };
    let before = uid(&bed);
    let second = bed.push(&[
        ("app/a.yaml", &forced("2")),
        ("app/b.yaml", &config_map("b", "2")),
    ]);
    // One refusal for the comparison, one for the dry run.
    bed.api.fail(
        Fault::status("patch", "configmaps", 422, "field is immutable")
            .named("a")
            .times(2),
    );
    bed.refresh();
    bed.until_synced(&second).await;
    assert_ne!(uid(&bed), before, "{:#?}", bed.writes());
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_server_side_apply_refuses_is_applied_from_the_client_side() {
    let (bed, first) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    let duplicate = || {
        Fault::status("patch", "configmaps", 500, "InternalError")
            .saying("failed to create typed patch object: duplicate entries for key [name=\"A\"]")
            .named("a")
            .times(1)
    };
    bed.api.fail(duplicate());
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until_synced(&first).await;
    let object = bed.api.get("configmaps", "ns", "a").expect("the object");
    let applied =
        &object["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"];
    assert!(applied.is_string(), "{object:#}");
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_object_with_a_generated_name_fails_once_and_says_why() {
    let generated = "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: job-}\n";
    let (bed, _) = Bed::with(&[("app/a.yaml", generated)]);
    bed.application(&json!({"automated": {}, "retry": {"limit": 0}}));
    let operator = bed.controller().await;
    let message = bed.until_failed().await;
    assert!(
        message.contains("only hooks may have generated names"),
        "{message}"
    );
    assert!(bed.api.list("configmaps").is_empty());
    operator.shutdown.cancel();
}
