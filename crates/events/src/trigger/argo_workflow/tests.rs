//! The operations, against a cluster in memory that serves Workflows.

use reconcile_core::testkit::{FakeApi, FakeKind};
use serde_json::{Value, json};

use super::*;
use crate::trigger::stage::Stage;

fn api() -> FakeApi {
    let kind = |kind: &str, plural: &str| {
        FakeKind::new("argoproj.io", "v1alpha1", kind, plural).without_status()
    };
    FakeApi::new()
        .with_kind(kind("Workflow", "workflows"))
        .with_kind(kind("WorkflowTemplate", "workflowtemplates"))
        .with_kind(kind("CronWorkflow", "cronworkflows"))
}

fn object(kind: &str, rest: Value) -> Value {
    let mut object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": kind,
        "metadata": {"name": "w", "namespace": "ns"},
    });
    if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
        object.extend(rest);
    }
    object
}

async fn act_on(
    api: &FakeApi,
    operation: &str,
    resource: Value,
    args: &[&str],
) -> Result<String, String> {
    let trigger = json!({"operation": operation, "args": args, "source": {"resource": resource}});
    let mut trigger: ArgoWorkflowTrigger = serde_json::from_value(trigger).expect("a trigger");
    Trigger::check(&mut trigger, "t").map_err(|error| error.to_string())?;
    let stage = Stage::with_secret(&json!({}));
    let request = trigger
        .resolve(&stage.firing)
        .map_err(|error| error.to_string())?;
    let Source::Object(object) = &request.source else {
        panic!("a resource")
    };
    let done = act(api.client(), &request, object, stage.run()).await;
    let (_, name) = done.map_err(|error| error.to_string())?;
    Ok(name.unwrap_or_default())
}

fn workflow(api: &FakeApi, name: &str) -> Value {
    api.get("workflows", "ns", name).expect("the Workflow")
}

#[tokio::test]
async fn a_submission_takes_its_options_and_is_done_once() {
    let api = api();
    let resource = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow",
        "metadata": {"generateName": "build-"},
        "spec": {"arguments": {"parameters": [{"name": "a", "value": "old"}]}},
    });
    let args = [
        "-p",
        "a=1",
        "--parameter=b=x=y",
        "--labels team=red",
        "--serviceaccount",
        "bot",
    ];
    let name = act_on(&api, "submit", resource.clone(), &args)
        .await
        .expect("submitted");
    assert_eq!(act_on(&api, "", resource, &args).await, Ok(name.clone()));
    assert_eq!(api.list("workflows").len(), 1);
    let made = workflow(&api, &name);
    assert_eq!(
        made["spec"],
        json!({
            "serviceAccountName": "bot",
            "arguments": {"parameters": [{"name": "a", "value": "1"}, {"name": "b", "value": "x=y"}]},
        })
    );
    let labels = &made["metadata"]["labels"];
    assert_eq!(
        (&labels["team"], &labels["events.argoproj.io/sensor"]),
        (&json!("red"), &json!("s"))
    );
}

#[tokio::test]
async fn a_template_and_a_cron_workflow_are_submitted_from() {
    let api = api();
    api.put(&object(
        "WorkflowTemplate",
        json!({"spec": {"entrypoint": "main"}}),
    ));
    api.put(&object(
        "CronWorkflow",
        json!({"spec": {"workflowSpec": {"entrypoint": "tick"}}}),
    ));
    let name = act_on(
        &api,
        "submit-from",
        object("WorkflowTemplate", json!({})),
        &["-p", "a=1"],
    )
    .await;
    let made = workflow(&api, &name.expect("submitted"));
    assert_eq!(
        made["spec"],
        json!({
            "workflowTemplateRef": {"name": "w"},
            "arguments": {"parameters": [{"name": "a", "value": "1"}]},
        })
    );
    assert_eq!(
        made["metadata"]["labels"]["workflows.argoproj.io/workflow-template"],
        "w"
    );
    let error = act_on(&api, "submit-from", object("Workflow", json!({})), &[]).await;
    assert_eq!(error, Err("Workflow ns/w does not exist".to_owned()));
}

#[tokio::test]
async fn running_workflows_are_suspended_resumed_stopped_and_terminated() {
    let api = api();
    api.put(&object(
        "Workflow",
        json!({"spec": {"entrypoint": "main"}, "status": {"phase": "Running", "nodes": {
            "w-1": {"type": "Suspend", "phase": "Running"},
            "w-2": {"type": "Pod", "phase": "Running"},
        }}}),
    ));
    let this = || object("Workflow", json!({}));
    act_on(&api, "suspend", this(), &[])
        .await
        .expect("suspended");
    assert_eq!(workflow(&api, "w")["spec"]["suspend"], true);
    act_on(&api, "resume", this(), &[]).await.expect("resumed");
    let resumed = workflow(&api, "w");
    assert_eq!(resumed["spec"].get("suspend"), None);
    let phases = ["w-1", "w-2"].map(|id| resumed["status"]["nodes"][id]["phase"].clone());
    assert_eq!(phases, [json!("Succeeded"), json!("Running")]);
    act_on(&api, "stop", this(), &[]).await.expect("stopped");
    assert_eq!(workflow(&api, "w")["spec"]["shutdown"], "Stop");
    act_on(&api, "terminate", this(), &[])
        .await
        .expect("terminated");
    assert_eq!(workflow(&api, "w")["spec"]["shutdown"], "Terminate");
    let absent = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "metadata": {"name": "gone"},
    });
    let error = act_on(&api, "stop", absent, &[]).await;
    assert_eq!(error, Err("Workflow ns/gone does not exist".to_owned()));
}

#[tokio::test]
async fn a_failed_workflow_is_retried_from_where_it_failed_or_run_again() {
    let api = api();
    api.put(&object(
        "Workflow",
        json!({
            "metadata": {"name": "w", "namespace": "ns", "labels": {
                "workflows.argoproj.io/completed": "true", "workflows.argoproj.io/phase": "Failed", "team": "red",
            }},
            "spec": {"entrypoint": "main", "shutdown": "Stop"},
            "status": {"phase": "Failed", "message": "step failed", "finishedAt": "2026-01-02T03:04:05Z", "nodes": {
                "w": {"name": "w", "type": "Steps", "phase": "Failed", "message": "child failed"},
                "w-1": {"name": "w[0].a", "type": "Pod", "phase": "Succeeded", "templateName": "a"},
                "w-2": {"name": "w[1].b", "type": "Pod", "phase": "Failed", "templateName": "b"},
            }},
        }),
    ));
    for pod in ["w-a-1", "w-b-2"] {
        api.put(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": pod, "namespace": "ns"}}));
    }
    let name = act_on(&api, "resubmit", object("Workflow", json!({})), &[])
        .await
        .expect("resubmitted");
    let copy = workflow(&api, &name);
    assert!(name.starts_with("w-"), "{name}");
    assert_eq!(copy["spec"], json!({"entrypoint": "main"}));
    let labels = &copy["metadata"]["labels"];
    assert_eq!(
        labels["workflows.argoproj.io/resubmitted-from-workflow"],
        "w"
    );
    assert_eq!(
        (
            labels.get("workflows.argoproj.io/completed"),
            &labels["team"]
        ),
        (None, &json!("red"))
    );

    act_on(&api, "retry", object("Workflow", json!({})), &[])
        .await
        .expect("retried");
    let retried = workflow(&api, "w");
    assert_eq!(
        retried["status"],
        json!({"phase": "Running", "nodes": {
            "w": {"name": "w", "type": "Steps", "phase": "Running"},
            "w-1": {"name": "w[0].a", "type": "Pod", "phase": "Succeeded", "templateName": "a"},
        }})
    );
    assert_eq!(retried["spec"], json!({"entrypoint": "main"}));
    assert_eq!(
        retried["metadata"]["labels"].get("workflows.argoproj.io/completed"),
        None
    );
    assert!(api.get("pods", "ns", "w-b-2").is_none() && api.get("pods", "ns", "w-a-1").is_some());
    let error = act_on(&api, "retry", object("Workflow", json!({})), &[]).await;
    assert_eq!(
        error,
        Err("retry Workflow ns/w: the Workflow has not failed".to_owned())
    );
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_by_field() {
    let api = api();
    let this = || object("Workflow", json!({"spec": {}}));
    for (operation, args, reason) in [
        ("start", &[][..], "t.operation: \"start\" is not submit, "),
        (
            "stop",
            &["--name", "x"],
            "t.args: only submit and submit-from take options",
        ),
        (
            "submit",
            &["--watch", "yes"],
            "t.args[0]: \"--watch\" is not supported; ",
        ),
        ("submit", &["-p"], "t.args[0]: \"-p\" has no value"),
        ("submit", &["-p", "x"], "t.args[0]: \"x\" is not NAME=VALUE"),
    ] {
        let error = act_on(&api, operation, this(), args)
            .await
            .expect_err("refused");
        assert!(error.starts_with(reason), "{error}");
    }
    let error = act_on(&api, "submit", object("ConfigMap", json!({})), &[]).await;
    assert!(error.expect_err("refused").contains("ConfigMap"));
}
