//! What is known about an EventSource.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use reconcile_core::{
    object::{FieldError, ObjectKey, Root},
    secret::Secret,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use thiserror::Error;

use super::{
    EventSourceController,
    registrations::{Manifest, Registrations},
    service, validate,
};
use crate::{
    api::EventSource,
    bus::BusState,
    controller::{ObjectState, context::ports_of, dedicated::Elsewhere},
    source::{CheckedSource, ServerCertificate, TaskEvent, Webhook},
    trigger::secrets::{SecretError, Secrets},
};

/// A field names a Secret that cannot be read.
#[derive(Debug, Error)]
#[error("{path}: {error}")]
pub(super) struct FieldSecretError {
    path: String,
    #[source]
    error: SecretError,
}

/// What a plan is made from.
pub struct Observed {
    /// Metadata, status, fields without effect.
    pub object: ObjectState,
    /// The checked spec.
    pub spec: Result<validate::CheckedSpec, FieldError>,
    /// What should run, with secrets read; events whose secret is missing are left out.
    pub source: Arc<CheckedSource>,
    /// Secrets that cannot be read.
    pub missing: Vec<String>,
    /// The state of the bus; `None` when there is no such EventBus.
    pub bus: Option<BusState>,
    /// Ports that the endpoints name, also of an invalid spec.
    pub ports: BTreeSet<u16>,
    /// The owner reference of the Service.
    pub owner: Value,
    /// The Service is as it should be already.
    pub service_done: bool,
    /// This replica, or an earlier process of it, may have published endpoints.
    pub published: bool,
    /// A Service is asked for, and there is no address that other pods could reach.
    pub unreachable: bool,
    /// Who acts for it when this process does not.
    pub elsewhere: Option<Elsewhere>,
    /// What its events have registered at services.
    pub registrations: Registrations,
}

impl EventSourceController {
    pub(super) async fn look(&self, root: &Root<EventSource>) -> Observed {
        let value = root.spec_value();
        let spec = validate::check(&root.key().name, &value);
        let mut object = ObjectState::of(root, &spec, || validate::findings(&value));
        let elsewhere = self.context.elsewhere(root, &mut object);
        let meta = &object.meta;
        let mut missing = Vec::new();
        let mut source = CheckedSource {
            key: meta.key.clone(),
            uid: meta.uid.clone(),
            webhooks: Vec::new(),
            tasks: Vec::new(),
            service: false,
            contested: BTreeSet::new(),
        };
        let ports = ports_of(root);
        let mut bus = None;
        if let Ok(spec) = &spec {
            missing = self.read_secrets(spec, &mut source).await;
            let key = ObjectKey::new(meta.key.namespace.clone(), spec.bus.clone());
            bus = self
                .context
                .pool
                .get(&key)
                .map(|bus| bus.state().borrow().clone());
            source.service = spec.service.is_some();
            let foreign = |port: &u16| {
                let others = self.context.foreign_sources(&meta.key.namespace, *port);
                !others.is_empty()
            };
            source.contested = ports.iter().copied().filter(foreign).collect();
        }
        let registrations = self.registrations(&value, &object, spec.as_ref().ok());
        let mut observed = Observed {
            registrations,
            spec,
            source: Arc::new(source),
            missing,
            bus,
            ports,
            owner: json!(root.controller_reference()),
            service_done: false,
            published: false,
            unreachable: false,
            elsewhere,
            object,
        };
        let wanted = wanted_service(&observed);
        let key = &observed.object.meta.key;
        let applied = self.services.lock().get(key).cloned();
        observed.service_done = applied.is_some_and(|applied| applied == wanted);
        observed.published = self.slices.may_exist(key);
        observed.unreachable = wanted.is_some() && self.reachable_address().is_none();
        observed
    }

    /// Fills in the webhooks and tasks whose Secrets can be read; the reasons of the others.
    async fn read_secrets(
        &self,
        spec: &validate::CheckedSpec,
        source: &mut CheckedSource,
    ) -> Vec<String> {
        let namespace = source.key.namespace.clone();
        let mut missing = Vec::new();
        for (webhook, secrets) in &spec.webhooks {
            match self.with_secrets(&namespace, webhook, secrets).await {
                Ok(webhook) => source.webhooks.push(webhook),
                Err(error) => missing.push(format!(
                    "spec.{}.{}: {error}",
                    webhook.kind(),
                    webhook.event
                )),
            }
        }
        for task in &spec.tasks {
            match task_with_secrets(&self.context.secrets, &namespace, task).await {
                Ok(mut task) => {
                    if let Some(account) = &spec.account {
                        task.account.clone_from(account);
                    }
                    source.tasks.push(task);
                }
                Err(error) => missing.push(error.to_string()),
            }
        }
        missing
    }

    fn reachable_address(&self) -> Option<IpAddr> {
        self.address
            .filter(|address| service::is_reachable(*address))
    }

    /// The slice of this replica that should be there, with the targets that are open now.
    pub(super) fn wanted_slice(&self, observed: &Observed) -> Option<Value> {
        if observed.object.meta.deleting || observed.elsewhere.is_some() {
            return None;
        }
        let source = &observed.object.meta.key;
        let endpoints = service::Endpoints {
            source,
            owner: &observed.owner,
            spec: observed.spec.as_ref().ok()?.service.as_ref()?,
            replica: self.replica.id(),
            address: self.reachable_address()?,
            targets: &self.context.plane.targets(source),
        };
        Some(endpoints.slice())
    }

    fn registrations(
        &self,
        spec: &Value,
        object: &ObjectState,
        checked: Option<&validate::CheckedSpec>,
    ) -> Registrations {
        let key = &object.meta.key;
        let mut registrations = Registrations::of(&Manifest {
            uid: &object.meta.uid,
            spec,
            status: &object.status,
            tasks: checked.map(|checked| checked.tasks.as_slice()),
            deleting: object.meta.deleting,
        });
        registrations.removal = self.removals.state(key, &registrations);
        registrations
    }

    async fn with_secrets(
        &self,
        namespace: &str,
        webhook: &Webhook,
        secrets: &validate::WebhookSecrets,
    ) -> Result<Webhook, SecretError> {
        let mut webhook = webhook.clone();
        // Never served without what was asked for, not even when it is marked as optional: an endpoint
        // would be open to everybody.
        let stored = &self.context.secrets;
        if let Some(key) = &secrets.token {
            webhook.token = Some(Secret::from(stored.needed_secret(namespace, key).await?));
        }
        if let Some((chain, key)) = &secrets.certificate {
            webhook.tls = Some(ServerCertificate {
                chain: stored
                    .needed_secret(namespace, chain)
                    .await?
                    .expose_secret()
                    .to_owned(),
                key: Secret::from(stored.needed_secret(namespace, key).await?),
            });
        }
        if let Some(hook) = &mut webhook.hook {
            for (field, key) in &secrets.hook {
                let value = stored.needed_secret(namespace, key).await?;
                hook.secrets.push((field, Secret::from(value)));
            }
        }
        Ok(webhook)
    }
}

/// An event with the Secrets that it needs.
pub(super) async fn task_with_secrets(
    secrets: &Secrets,
    namespace: &str,
    task: &TaskEvent,
) -> Result<TaskEvent, FieldSecretError> {
    let mut task = task.clone();
    for (field, key) in task.source.secrets() {
        let value = secrets.needed_secret(namespace, &key).await;
        let value = value.map_err(|error| FieldSecretError {
            path: format!("spec.{}.{}.{field}", task.kind.key, task.event),
            error,
        })?;
        task.secrets.push(Secret::from(value));
    }
    Ok(task)
}

/// The Service that should be there.
pub(super) fn wanted_service(observed: &Observed) -> Option<Value> {
    let spec = observed.spec.as_ref().ok()?.service.as_ref()?;
    let source = &observed.object.meta.key;
    Some(service::service(source, &observed.owner, spec))
}
