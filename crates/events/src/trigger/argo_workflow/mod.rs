//! The argoWorkflow trigger: operations on Workflows by the API server alone, as the Sensor's service account.
//!
//! Upstream runs the `argo` command for each event. Here a Workflow is created or patched, and every operation
//! may be repeated with the same effect: what is created carries the identity of its firing.

mod arguments;
mod retry;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use kube::Client;
use reconcile_core::object::FieldError;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use self::arguments::Arguments;
use super::{
    Done, Firing, Run, Trigger, TriggerError,
    k8s::{self, PatchKind, Source, Target},
};
use crate::{
    api::{artifact::ArtifactSource, trigger::Parameter},
    sensor::parameter,
};

const API_VERSION: &str = "argoproj.io/v1alpha1";

/// Acts on a Workflow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ArgoWorkflowTrigger {
    /// The Workflow, or what it is made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<ArtifactSource>,
    /// `submit` (default), `submit-from`, `resubmit`, `resume`, `retry`, `suspend`, `stop` or `terminate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Patches of the object.
    pub parameters: Vec<Parameter>,
    /// Options of a submission, as for the `argo` command.
    pub args: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Submit,
    SubmitFrom,
    Resubmit,
    Resume,
    Retry,
    Suspend,
    Stop,
    Terminate,
}

impl Operation {
    fn parse(path: &str, text: Option<&str>) -> Result<Self, FieldError> {
        Ok(match text.unwrap_or_default() {
            "" | "submit" => Self::Submit,
            "submit-from" => Self::SubmitFrom,
            "resubmit" => Self::Resubmit,
            "resume" => Self::Resume,
            "retry" => Self::Retry,
            "suspend" => Self::Suspend,
            "stop" => Self::Stop,
            "terminate" => Self::Terminate,
            other => {
                let message = format!(
                    "{other:?} is not submit, submit-from, resubmit, resume, retry, suspend, stop or terminate"
                );
                return Err(FieldError::new(format!("{path}.operation"), message));
            }
        })
    }
}

/// What is done with which object.
pub struct WorkflowRequest {
    operation: Operation,
    /// As the manifest says it, for the log.
    shown: String,
    source: Source,
    /// Applied to the object once it is known.
    parameters: Vec<Parameter>,
    arguments: Arguments,
}

impl Trigger for ArgoWorkflowTrigger {
    const KEY: &'static str = "argoWorkflow";

    type Request = WorkflowRequest;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        let operation = Operation::parse(path, self.operation.as_deref())?;
        let args = format!("{path}.args");
        let submits = matches!(operation, Operation::Submit | Operation::SubmitFrom);
        if !submits && !self.args.is_empty() {
            return Err(FieldError::new(
                args,
                "only submit and submit-from take options",
            ));
        }
        Arguments::parse(&args, &self.args)?;
        let source = format!("{path}.source");
        k8s::source::check(&source, self.source.as_mut(), &self.parameters)
    }

    fn reuse(&mut self, checked: &Self) {
        k8s::source::reuse(self.source.as_mut(), checked.source.as_ref());
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<WorkflowRequest, TriggerError> {
        let operation = self.operation.as_deref().filter(|text| !text.is_empty());
        let mut request = WorkflowRequest {
            operation: Operation::parse(Self::KEY, operation)?,
            shown: operation.unwrap_or("submit").to_owned(),
            source: Source::of("argoWorkflow.source", self.source.as_ref())?,
            parameters: self.parameters.clone(),
            arguments: Arguments::parse("argoWorkflow.args", &self.args)?,
        };
        if let Source::Object(object) = &mut request.source {
            let parameters = std::mem::take(&mut request.parameters);
            *object = parameter::apply(std::mem::take(object), &parameters, firing.inputs())?;
            if request.operation == Operation::Submit {
                request.arguments.apply(object);
            }
        }
        Ok(request)
    }

    fn preview(request: &WorkflowRequest) -> Value {
        let mut shown = json!({ "operation": request.shown });
        match &request.source {
            Source::Object(object) => shown["object"] = object.clone(),
            Source::Remote(remote) => shown["note"] = json!(remote.note()),
        }
        json!({ "argoWorkflow": shown })
    }

    async fn execute(mut request: WorkflowRequest, run: Run<'_>) -> Result<Done, TriggerError> {
        if let Source::Remote(remote) = &request.source {
            let object = remote.manifest("argoWorkflow.source", run).await?;
            let mut object = parameter::apply(object, &request.parameters, run.firing.inputs())?;
            if request.operation == Operation::Submit {
                request.arguments.apply(&mut object);
            }
            request.source = Source::Object(object);
        }
        let Source::Object(object) = &request.source else {
            return Err(TriggerError::Failed("no source".to_owned()));
        };
        let act = |client| act(client, &request, object, run);
        let (target, name) = k8s::as_account(run, act).await?;
        let done = Done(format!(
            "{} {}",
            request.shown,
            target.shown(name.as_deref())
        ));
        if let (Some(policy), Some(name)) = (&run.success.labels, name) {
            target.wait_for_labels(&name, policy).await?;
        }
        Ok(done)
    }
}

/// Carries the operation out; gives the Workflow that it concerns.
async fn act(
    client: Client,
    request: &WorkflowRequest,
    object: &Value,
    run: Run<'_>,
) -> Result<(Target, Option<String>), TriggerError> {
    let target = k8s::target(&client, object, run).await?;
    let firing = run.firing;
    let create = async |workflow: Value| {
        let target = k8s::target(&client, &workflow, run).await?;
        let name = target.create(workflow, firing).await?;
        Ok::<_, TriggerError>((target, name))
    };
    let patch = async |target: Target, change: Value| {
        // A patch creates what is missing; an operation is for a Workflow that is there.
        target.live().await?;
        let name = target.patch(change, PatchKind::Merge, firing).await?;
        Ok((target, name))
    };
    match request.operation {
        Operation::Submit => {
            workflow_only(object)?;
            create(object.clone()).await
        }
        Operation::SubmitFrom => {
            let live = target.live().await?;
            let mut workflow = from_template(object, &live)?;
            request.arguments.apply(&mut workflow);
            create(workflow).await
        }
        Operation::Resubmit => {
            workflow_only(object)?;
            create(again(&target.live().await?)?).await
        }
        Operation::Suspend => patch(target, json!({"spec": {"suspend": true}})).await,
        Operation::Stop => patch(target, json!({"spec": {"shutdown": "Stop"}})).await,
        Operation::Terminate => patch(target, json!({"spec": {"shutdown": "Terminate"}})).await,
        Operation::Resume => {
            let change = resumed(&target.live().await?, firing.now);
            patch(target, change).await
        }
        Operation::Retry => {
            let live = target.live().await?;
            let plan = retry::plan(&live).map_err(|reason| {
                TriggerError::Failed(format!("retry {}: {reason}", target.shown(None)))
            })?;
            for pod in plan.pods {
                let pod = json!({
                    "apiVersion": "v1", "kind": "Pod",
                    "metadata": {"name": pod, "namespace": live["metadata"]["namespace"]},
                });
                k8s::target(&client, &pod, run).await?.delete().await?;
            }
            patch(target, plan.change).await
        }
    }
}

fn workflow_only(object: &Value) -> Result<(), TriggerError> {
    if object["kind"] == "Workflow" {
        return Ok(());
    }
    let message = format!("{} is not a Workflow", object["kind"]);
    Err(FieldError::new("argoWorkflow.source", message).into())
}

/// A Workflow that runs a template.
fn from_template(object: &Value, live: &Value) -> Result<Value, TriggerError> {
    let metadata = &live["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let (spec, label) = match object["kind"].as_str() {
        Some("WorkflowTemplate") => (
            json!({"workflowTemplateRef": {"name": name}}),
            "workflows.argoproj.io/workflow-template",
        ),
        Some("ClusterWorkflowTemplate") => (
            json!({"workflowTemplateRef": {"name": name, "clusterScope": true}}),
            "workflows.argoproj.io/cluster-workflow-template",
        ),
        Some("CronWorkflow") => (
            live["spec"]["workflowSpec"].clone(),
            "workflows.argoproj.io/cron-workflow",
        ),
        _ => {
            let message = format!(
                "{} is not a WorkflowTemplate, ClusterWorkflowTemplate or CronWorkflow",
                object["kind"]
            );
            return Err(FieldError::new("argoWorkflow.source", message).into());
        }
    };
    let mut workflow = json!({
        "apiVersion": API_VERSION,
        "kind": "Workflow",
        "metadata": {"generateName": format!("{name}-"), "labels": {label: name}},
        "spec": spec,
    });
    if let Some(namespace) = metadata.get("namespace") {
        workflow["metadata"]["namespace"] = namespace.clone();
    }
    Ok(workflow)
}

/// Labels and annotations of a run that another run does not take over.
fn belongs_to_run(key: &str) -> bool {
    [
        "workflows.argoproj.io/completed",
        "workflows.argoproj.io/phase",
        "workflows.argoproj.io/workflow-archiving-status",
        "workflows.argoproj.io/resubmitted-from-workflow",
        "events.argoproj.io/event-id",
        "kubectl.kubernetes.io/last-applied-configuration",
    ]
    .contains(&key)
}

/// A Workflow that runs the same spec once more.
fn again(live: &Value) -> Result<Value, TriggerError> {
    let metadata = &live["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    let prefix = match metadata["generateName"].as_str() {
        Some(prefix) if !prefix.is_empty() => prefix.to_owned(),
        _ => format!("{name}-"),
    };
    let kept = |field: &str| -> Map<String, Value> {
        let all = metadata[field].as_object().into_iter().flatten();
        all.filter(|(key, _)| !belongs_to_run(key))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect()
    };
    let mut labels = kept("labels");
    labels.insert(
        "workflows.argoproj.io/resubmitted-from-workflow".to_owned(),
        json!(name),
    );
    let mut spec = live["spec"].clone();
    let Some(fields) = spec.as_object_mut() else {
        return Err(TriggerError::Failed(format!("Workflow {name} has no spec")));
    };
    fields.remove("shutdown");
    fields.remove("suspend");
    Ok(json!({
        "apiVersion": API_VERSION,
        "kind": "Workflow",
        "metadata": {
            "generateName": prefix,
            "namespace": metadata["namespace"],
            "labels": labels,
            "annotations": kept("annotations"),
        },
        "spec": spec,
    }))
}

/// The change that resumes a Workflow: the spec is not suspended, and suspend nodes that run are done.
fn resumed(live: &Value, now: Timestamp) -> Value {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let nodes: Map<String, Value> = live["status"]["nodes"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, node)| node["type"] == "Suspend" && node["phase"] == "Running")
        .map(|(id, _)| (id.clone(), json!({"phase": "Succeeded", "finishedAt": now})))
        .collect();
    let mut change = json!({"spec": {"suspend": null}});
    if !nodes.is_empty() {
        change["status"] = json!({ "nodes": nodes });
    }
    change
}
