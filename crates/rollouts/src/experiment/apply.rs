//! Effects. Each is one targeted write; the answer goes into the index, so that the next pass sees it.

use kube::api::{ApiResource, DynamicObject, PropagationPolicy};
use reconcile_core::{
    apply::{self, ApplyError},
    error::{Classify, ErrorClass},
    object::{Kind, ObjectKey},
};
use serde_json::{Value, json};

use super::{
    error::ExperimentError,
    objects,
    observed::{CheckedTemplate, Observed},
    plan::{Action, DeadlineChange, SetChange},
};
use crate::{
    analysis::{self, build::NewRun},
    api::{analysis::AnalysisPhase, experiment::ExperimentKind, rollout::SCALE_DOWN_DEADLINE},
    rollout::{
        effects::Effects,
        resources::{MANAGER, replica_sets, services},
    },
};

/// What an action brought.
#[derive(Clone, Debug, PartialEq)]
pub enum Applied {
    /// It is done.
    Done,
    /// The AnalysisRun that was started.
    Started {
        /// The analysis.
        analysis: String,
        /// Name of the run.
        name: String,
        /// Phase of the run.
        phase: AnalysisPhase,
    },
    /// The template cannot be carried out.
    Refused {
        /// The template.
        template: String,
        /// Why.
        message: String,
    },
}

/// Carries out one action.
pub(super) async fn apply(
    effects: &Effects,
    observed: &Observed,
    action: &Action,
) -> Result<Applied, ExperimentError> {
    let namespace = observed.root.key().namespace;
    let key = |name: &str| ObjectKey::new(&namespace, name);
    match action {
        Action::CreateReplicaSet {
            template,
            name,
            replicas,
        } => {
            let template = template_of(observed, template)?;
            let new = New {
                key: key(name),
                resource: replica_sets(),
                object: objects::replica_set(observed, template, *replicas),
            };
            return create(effects, observed, template, &new).await;
        }
        Action::Change(change) => {
            effects
                .patch_replica_set(&key(&change.name), &body(change))
                .await?;
        }
        Action::CreateService { template, name } => {
            let template = template_of(observed, template)?;
            let new = New {
                key: key(name),
                resource: services(),
                object: objects::service(observed, template, name),
            };
            return create(effects, observed, template, &new).await;
        }
        Action::DeleteService { name } => delete_service(effects, observed, &key(name)).await?,
        Action::StartRun { analysis, run } => return start(effects, analysis, run).await,
        Action::TerminateRun { name, .. } => {
            analysis::terminate_run(&effects.client, &key(name)).await?;
        }
    }
    Ok(Applied::Done)
}

/// An object of a template that is to be created.
struct New {
    key: ObjectKey,
    resource: ApiResource,
    object: Value,
}

fn template_of<'o>(
    observed: &'o Observed,
    name: &str,
) -> Result<&'o CheckedTemplate, ExperimentError> {
    let mut all = observed.spec.templates.iter();
    all.find(|template| template.name == name)
        .ok_or_else(|| ExperimentError::Bug(format!("there is no template {name}")))
}

fn body(change: &SetChange) -> Value {
    let mut body = json!({ "metadata": { "uid": change.uid } });
    let deadline = match change.deadline {
        DeadlineChange::Keep => None,
        DeadlineChange::Set(at) => Some(json!(at.to_string())),
        DeadlineChange::Remove => Some(Value::Null),
    };
    if let Some(deadline) = deadline {
        body["metadata"]["annotations"] = json!({ SCALE_DOWN_DEADLINE: deadline });
    }
    if let Some(replicas) = change.replicas {
        body["spec"] = json!({ "replicas": replicas });
    }
    body
}

/// Creates an object of a template. One that is there already and belongs to the Experiment is what an
/// earlier attempt made, whose answer was lost.
async fn create(
    effects: &Effects,
    observed: &Observed,
    template: &CheckedTemplate,
    new: &New,
) -> Result<Applied, ExperimentError> {
    let bug = |error: serde_json::Error| ExperimentError::Bug(error.to_string());
    let object: DynamicObject = serde_json::from_value(new.object.clone()).map_err(bug)?;
    let refused = |message: String| Applied::Refused {
        template: template.name.clone(),
        message: format!(
            "Failed to create {} for template '{}': {message}",
            new.resource.kind, template.name
        ),
    };
    let error =
        match apply::create(&effects.client, &new.resource, &new.key, &object, MANAGER).await {
            Ok(created) => {
                effects.remember(created);
                return Ok(Applied::Done);
            }
            Err(error) if error.code() == Some(409) => error,
            Err(error) if error.class() == ErrorClass::Invalid => return Ok(refused(error.reason)),
            Err(error) => return Err(error.into()),
        };
    let Some(found) = apply::get(&effects.client, &new.resource, &new.key).await? else {
        return Err(error.into());
    };
    let owners = found.metadata.owner_references.clone().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true));
    let root = &observed.root;
    match owner {
        Some(owner) if owner.uid == root.uid() => {
            effects.remember(found);
            Ok(Applied::Done)
        }
        Some(owner) if owner.kind == ExperimentKind::KIND && owner.name == root.key().name => {
            let what = format!("{} {}", new.resource.kind, new.key.name);
            Err(ExperimentError::Leftover(what))
        }
        _ => {
            let message = format!(
                "{} exists and does not belong to the Experiment",
                new.key.name
            );
            Ok(refused(message))
        }
    }
}

/// Deletes a Service, unless another one has taken its name.
async fn delete_service(
    effects: &Effects,
    observed: &Observed,
    key: &ObjectKey,
) -> Result<(), ApplyError> {
    let Some(found) = apply::get(&effects.client, &services(), key).await? else {
        drop(effects.sources.services.dropped(key));
        return Ok(());
    };
    let owners = found.metadata.owner_references.unwrap_or_default();
    let is_ours = owners.iter().any(|owner| owner.uid == observed.root.uid());
    let (Some(uid), true) = (found.metadata.uid, is_ours) else {
        return Ok(());
    };
    let how = PropagationPolicy::Background;
    let gone = apply::delete(&effects.client, &services(), key, Some(&uid), how).await?;
    if gone == apply::Deleted::Gone {
        drop(effects.sources.services.deleted(key, &uid));
    }
    Ok(())
}

async fn start(
    effects: &Effects,
    analysis: &str,
    run: &NewRun,
) -> Result<Applied, ExperimentError> {
    let view = analysis::create_run(&effects.client, run).await?;
    let started = Applied::Started {
        analysis: analysis.to_owned(),
        name: view.key.name.clone(),
        phase: match &view.phase {
            AnalysisPhase::Unset => AnalysisPhase::Pending,
            phase => phase.clone(),
        },
    };
    effects.sources.analysis.remember(view);
    Ok(started)
}
