//! The k8s trigger: create, update, patch or delete an object as the Sensor's service account.
//!
//! Every operation may be repeated with the same effect: an object that is created carries the identity
//! of its firing, and a generated name is derived from it.

mod discovered;
mod provenance;
pub(super) mod source;
mod target;

use std::time::Duration;

use kube::{Client, core::GroupVersionKind};
use reconcile_core::object::FieldError;
use serde_json::{Value, json};

pub use discovered::Discovered;
pub(super) use {
    source::Source,
    target::{PatchKind, Target},
};

use super::{Done, Firing, Run, Trigger, TriggerError};
use crate::{
    api::trigger::{K8sTrigger, Parameter},
    sensor::parameter,
};

/// How often an update is tried again because somebody else changed the object meanwhile. Each time
/// somebody got further, and no more than the parallel actions of a trigger usually compete.
const CONFLICTS: u32 = 64;
/// Pause before an update is tried again: up to so long for each time before, at random.
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);

/// Checks what can be checked before parameters are applied.
fn check(path: &str, action: &mut K8sTrigger) -> Result<(), FieldError> {
    let at = |field: &str, message: String| FieldError::new(format!("{path}.{field}"), message);
    let operation = action.operation.as_deref().unwrap_or_default();
    if Operation::parse(Some(operation)).is_none() {
        return Err(at(
            "operation",
            format!("{operation:?} is not create, update, patch or delete"),
        ));
    }
    let strategy = action.patch_strategy.as_deref().unwrap_or_default();
    if PatchKind::parse(strategy).is_none() {
        return Err(at(
            "patchStrategy",
            format!("{strategy:?} is not a known type of patch"),
        ));
    }
    source::check(
        &format!("{path}.source"),
        action.source.as_mut(),
        &action.parameters,
    )
}

/// What a trigger does with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Create,
    Update,
    Patch,
    Delete,
}

impl Operation {
    fn parse(text: Option<&str>) -> Option<Self> {
        Some(match text.unwrap_or_default() {
            "" | "create" => Self::Create,
            "update" => Self::Update,
            "patch" => Self::Patch,
            "delete" => Self::Delete,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
        }
    }
}

/// What is done with which object.
pub struct K8sRequest {
    source: Source,
    operation: Operation,
    patch: PatchKind,
    /// Applied to the object once it is known.
    parameters: Vec<Parameter>,
    /// The parameters are for the live object.
    live: bool,
}

impl Trigger for K8sTrigger {
    const KEY: &'static str = "k8s";

    type Request = K8sRequest;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        check(path, self)
    }

    fn reuse(&mut self, checked: &Self) {
        source::reuse(self.source.as_mut(), checked.source.as_ref());
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<K8sRequest, TriggerError> {
        let wrong = |field: &str, message: &str| FieldError::new(format!("k8s.{field}"), message);
        let operation = Operation::parse(self.operation.as_deref())
            .ok_or_else(|| wrong("operation", "is not known"))?;
        let patch = PatchKind::parse(self.patch_strategy.as_deref().unwrap_or_default())
            .ok_or_else(|| wrong("patchStrategy", "is not known"))?;
        let mut request = K8sRequest {
            source: Source::of("k8s.source", self.source.as_ref())?,
            operation,
            patch,
            parameters: self.parameters.clone(),
            live: self.live_object && operation == Operation::Update,
        };
        if let Source::Object(object) = &mut request.source
            && !request.live
        {
            let parameters = std::mem::take(&mut request.parameters);
            *object = parameter::apply(std::mem::take(object), &parameters, firing.inputs())?;
        }
        Ok(request)
    }

    fn preview(request: &K8sRequest) -> Value {
        let mut shown = json!({ "operation": request.operation.name() });
        match &request.source {
            Source::Object(object) => shown["object"] = object.clone(),
            Source::Remote(remote) => shown["note"] = json!(remote.note()),
        }
        if request.live {
            shown["note"] = json!("the parameters are applied to the object in the cluster");
        }
        json!({ "k8s": shown })
    }

    async fn execute(mut request: K8sRequest, run: Run<'_>) -> Result<Done, TriggerError> {
        let firing = run.firing;
        if let Source::Remote(remote) = &request.source {
            let mut object = remote.manifest("k8s.source", run).await?;
            if !request.live {
                let parameters = std::mem::take(&mut request.parameters);
                object = parameter::apply(object, &parameters, firing.inputs())?;
            }
            request.source = Source::Object(object);
        }
        let (target, written) = as_account(run, |client| write(client, &request, run)).await?;
        let done = Done(format!(
            "{} {}",
            request.operation.name(),
            target.shown(written.as_deref())
        ));
        if let (Some(policy), Some(name)) = (&run.success.labels, written) {
            target.wait_for_labels(&name, policy).await?;
        }
        Ok(done)
    }
}

/// Does something as the Sensor's service account; once more with a new token when the old one is void,
/// because the account was deleted and created again: nothing was done with that token.
pub(super) async fn as_account<R, F>(
    run: Run<'_>,
    mut act: impl FnMut(Client) -> F,
) -> Result<R, TriggerError>
where
    F: Future<Output = Result<R, TriggerError>>,
{
    let identities = &run.executor.identities;
    let (namespace, account) = (
        run.firing.sensor.namespace.as_str(),
        run.firing.service_account.as_str(),
    );
    match act(identities.client(namespace, account).await?).await {
        Err(error) if error.status() == Some(401) => {
            identities.forget(namespace, account).await;
            act(identities.client(namespace, account).await?).await
        }
        outcome => outcome,
    }
}

/// Does what the operation says; gives the name of the object that was written, if one was.
async fn write(
    client: Client,
    request: &K8sRequest,
    run: Run<'_>,
) -> Result<(Target, Option<String>), TriggerError> {
    let Source::Object(object) = &request.source else {
        return Err(TriggerError::Failed("no source".to_owned()));
    };
    let firing = run.firing;
    let target = target(&client, object, run).await?;
    let written = match request.operation {
        Operation::Create => target.create(object.clone(), firing).await?,
        Operation::Update => {
            let change = || async {
                match target.get().await? {
                    Some(live) if request.live => {
                        let object = serde_json::to_value(&live).unwrap_or(Value::Null);
                        let parameters = &request.parameters;
                        let object = parameter::apply(object, parameters, firing.inputs())?;
                        target.replace(&live, &object).await
                    }
                    Some(live) => target.replace(&live, object).await,
                    None if request.live => Err(target.absent()),
                    None => target.create(object.clone(), firing).await,
                }
            };
            again_after_conflicts(change).await?
        }
        Operation::Patch => target.patch(object.clone(), request.patch, firing).await?,
        Operation::Delete => {
            target.delete().await?;
            None
        }
    };
    Ok((target, written))
}

/// Where an object lives that a trigger names.
pub(super) async fn target(
    client: &Client,
    object: &Value,
    run: Run<'_>,
) -> Result<Target, TriggerError> {
    let namespace = run.firing.sensor.namespace.as_str();
    let text = |pointer: &str| {
        object
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (version, kind) = (text("/apiVersion"), text("/kind"));
    let (group, version) = version.split_once('/').unwrap_or(("", version));
    let gvk = GroupVersionKind::gvk(group, version, kind);
    let found = run.executor.identities.discovered.find(client, &gvk).await;
    let (resource, namespaced) = found.map_err(|error| match error {
        kube::Error::Api(status) if status.code == 404 => TriggerError::Failed(format!(
            "the API server has no kind {kind} in {}",
            text("/apiVersion")
        )),
        error => TriggerError::api(kind, error),
    })?;
    let own = text("/metadata/namespace");
    let namespace = if own.is_empty() { namespace } else { own };
    let namespace = namespaced.then_some(namespace);
    Ok(Target::new(client, &resource, namespace, object))
}

/// Does something until nobody else changed the object meanwhile.
async fn again_after_conflicts<R, F>(mut change: impl FnMut() -> F) -> Result<R, TriggerError>
where
    F: Future<Output = Result<R, TriggerError>>,
{
    let mut conflicts = 0;
    loop {
        match change().await {
            Err(error) if error.status() == Some(409) && conflicts < CONFLICTS => {
                conflicts += 1;
                let pause = CONFLICT_PAUSE * conflicts;
                tokio::time::sleep(pause.mul_f64(rand::random())).await;
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests;
