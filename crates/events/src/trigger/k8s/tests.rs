//! The operations, against a cluster in memory.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use kube::Client;
use reconcile_core::{
    clock::Clock,
    object::ObjectKey,
    operator::Operator,
    testkit::{FakeApi, Fault},
};
use serde_json::{Value, json};

use super::*;
use crate::{
    event::CloudEvent,
    sensor::parameter::Events,
    sensor::retry::Retry,
    trigger::{Executor, LabelPolicy, SuccessPolicy, secrets::Secrets},
};

fn executor(client: &Client) -> Executor {
    let operator = Operator::detached(client.clone(), Clock::system());
    Executor::new(&operator, Secrets::new(client.clone()))
}

fn firing(id: &str) -> Firing {
    let now = "2026-01-02T03:04:05Z".parse().expect("a time");
    let event = CloudEvent::new(
        "7".into(),
        "src",
        "webhook",
        "a",
        now,
        r#"{"n":"x"}"#.into(),
    );
    Firing {
        id: id.into(),
        sensor: ObjectKey::new("ns", "s"),
        trigger: "t".into(),
        service_account: "default".into(),
        events: Events::from([("a".to_owned(), event)]),
        now,
    }
}

/// An action on the ConfigMap `m` that appends the event to `data.seen`.
fn action(operation: &str, live: bool) -> K8sTrigger {
    let action = json!({
        "operation": operation,
        "liveObject": live,
        "source": {"resource": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}}},
        "parameters": [{
            "src": {"dependencyName": "a", "dataKey": "n"}, "dest": "data.seen", "operation": "append",
        }],
    });
    serde_json::from_value(action).expect("a trigger")
}

async fn write(api: &FakeApi, action: &K8sTrigger, id: &str) -> Result<Option<String>, String> {
    write_with(api, action, id, &SuccessPolicy::default()).await
}

async fn write_with(
    api: &FakeApi,
    action: &K8sTrigger,
    id: &str,
    success: &SuccessPolicy,
) -> Result<Option<String>, String> {
    let client = api.client();
    let (executor, firing) = (executor(&client), firing(id));
    let run = Run {
        executor: &executor,
        firing: &firing,
        success,
    };
    let request = action.resolve(&firing).map_err(|error| error.to_string())?;
    let written = super::write(client, &request, run).await;
    let (target, name) = written.map_err(|error| error.to_string())?;
    if let (Some(policy), Some(name)) = (&success.labels, &name) {
        let waited = target.wait_for_labels(name, policy).await;
        waited.map_err(|error| error.to_string())?;
    }
    Ok(name)
}

#[test]
fn an_inline_manifest_is_parsed_once_for_all_events() {
    let template = |kind: &str| {
        let source = json!({"inline": "{apiVersion: v1, kind: ConfigMap, metadata: {name: m}}"});
        json!({"k8s": {"operation": kind, "source": source}})
    };
    let decoded = |value: &Value| serde_json::from_value::<K8sTrigger>(value["k8s"].clone());
    let mut first = decoded(&template("create")).expect("a trigger");
    Trigger::check(&mut first, "k8s").expect("checked");
    // What parameters of the template make of it for an event.
    let mut patched = decoded(&template("patch")).expect("a trigger");
    patched.reuse(&first);
    Trigger::check(&mut patched, "k8s").expect("checked");
    let parsed = |trigger: &K8sTrigger| trigger.source.as_ref()?.parsed.clone();
    let (before, after) = (parsed(&first), parsed(&patched));
    assert!(
        before
            .zip(after)
            .is_some_and(|(before, after)| Arc::ptr_eq(&before, &after))
    );
    // Another text is another object.
    let mut other = decoded(&template("create")).expect("a trigger");
    if let Some(source) = &mut other.source {
        source.inline = Some("{apiVersion: v1, kind: Secret, metadata: {name: m}}".into());
    }
    other.reuse(&first);
    Trigger::check(&mut other, "k8s").expect("checked");
    assert_eq!(parsed(&other).expect("parsed")["kind"], "Secret");
}

fn map(api: &FakeApi) -> Value {
    api.get("configmaps", "ns", "m").expect("the object")
}

fn live(api: &FakeApi) {
    api.put(&json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "m", "namespace": "ns"}, "data": {"seen": "", "kept": "y"},
    }));
}

#[tokio::test]
async fn an_update_continues_from_what_others_wrote_meanwhile() {
    let api = FakeApi::new();
    live(&api);
    api.fail(Fault::status("update", "configmaps", 409, "Conflict").times(3));
    write(&api, &action("update", true), "1")
        .await
        .expect("updated");
    assert_eq!(map(&api)["data"], json!({"seen": "x", "kept": "y"}));
    let at_once = (0..8).map(|n| {
        let api = &api;
        async move { write(api, &action("update", true), &n.to_string()).await }
    });
    for outcome in futures::future::join_all(at_once).await {
        outcome.expect("updated");
    }
    assert_eq!(map(&api)["data"]["seen"], "xxxxxxxxx");
    // Other refusals are errors.
    api.fail(Fault::status("update", "configmaps", 403, "Forbidden"));
    let error = write(&api, &action("update", true), "9").await;
    assert!(
        error
            .expect_err("refused")
            .starts_with("update ConfigMap ns/m: ")
    );
}

#[tokio::test]
async fn a_live_object_that_is_not_there_is_not_made_up() {
    let api = FakeApi::new();
    let error = write(&api, &action("update", true), "1").await;
    assert_eq!(error, Err("ConfigMap ns/m does not exist".to_owned()));
    assert!(api.list("configmaps").is_empty());
    // Without liveObject the resource is complete, and is created as upstream does.
    for operation in ["update", "patch"] {
        let api = FakeApi::new();
        write(&api, &action(operation, false), "1")
            .await
            .expect("created");
        assert_eq!(map(&api)["data"]["seen"], "x");
        assert_eq!(
            map(&api)["metadata"]["labels"]["events.argoproj.io/sensor"],
            "s"
        );
    }
}

#[tokio::test]
async fn a_firing_creates_once_whatever_becomes_of_the_answer() {
    let api = FakeApi::new();
    let mut generated = action("create", false);
    generated.source = serde_json::from_value(json!({"resource": {
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "m-"},
    }}))
    .expect("a source");
    for action in [action("", false), generated] {
        let before = api.list("configmaps").len();
        api.fail(Fault::lose_answer("create", "configmaps"));
        write(&api, &action, "1").await.expect_err("no answer");
        let name = write(&api, &action, "1")
            .await
            .expect("recognised")
            .expect("a name");
        assert!(name.starts_with('m'), "{name}");
        assert_eq!(api.list("configmaps").len(), before + 1);
    }
    // Somebody else's object of that name.
    let error = write(&api, &action("create", false), "2")
        .await
        .expect_err("taken");
    assert!(error.starts_with("create ConfigMap ns/m: "), "{error}");
}

#[tokio::test]
async fn deleting_what_is_gone_is_fine() {
    let api = FakeApi::new();
    live(&api);
    for _ in 0..2 {
        assert_eq!(write(&api, &action("delete", false), "1").await, Ok(None));
        assert!(api.list("configmaps").is_empty());
    }
}

/// Success once the object has `state: done`, at the third look at the latest.
fn done(required: bool) -> SuccessPolicy {
    SuccessPolicy {
        labels: Some(LabelPolicy {
            labels: BTreeMap::from([("state".to_owned(), "done".to_owned())]),
            looks: Retry {
                steps: 3,
                pause: Duration::from_millis(50),
                ..Retry::default()
            },
            required,
        }),
        ..SuccessPolicy::default()
    }
}

#[tokio::test]
async fn an_action_is_successful_once_its_object_has_the_labels_of_the_policy() {
    let api = FakeApi::new();
    let (created, labelled) = (action("create", false), api.clone());
    let label = async move {
        let seen = || labelled.get("configmaps", "ns", "m");
        while seen().is_none() {
            tokio::task::yield_now().await;
        }
        let mut object = seen().expect("the object");
        object["metadata"]["labels"] = json!({"state": "done"});
        labelled.put(&object);
    };
    let policy = done(true);
    let (outcome, ()) = tokio::join!(write_with(&api, &created, "1", &policy), label);
    assert_eq!(outcome, Ok(Some("m".to_owned())));
}

#[tokio::test]
async fn an_object_without_the_labels_of_the_policy_is_a_failure_where_they_are_required() {
    let api = FakeApi::new();
    let refused = write_with(&api, &action("create", false), "1", &done(true)).await;
    let wanted = "ConfigMap ns/m: does not have the labels of policy.k8s: state=done";
    assert_eq!(refused, Err(wanted.to_owned()));
    // `errorOnBackoffTimeout: false` takes the object as it is.
    let taken = write_with(&api, &action("update", true), "2", &done(false)).await;
    assert_eq!(taken, Ok(Some("m".to_owned())));
}
