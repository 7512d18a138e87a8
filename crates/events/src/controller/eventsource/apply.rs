//! The effects of an EventSource.

use std::collections::BTreeSet;

use kube::{
    api::{ApiResource, PropagationPolicy},
    core::GroupVersionKind,
};
use reconcile_core::{
    apply::{apply_forced, delete, get, merge_patch, resource_of},
    object::ObjectKey,
    shards::Claim,
};
use serde_json::{Value, json};

use super::{
    Action, Applied, EventSourceController, Observed, observe::wanted_service, plan::FINALIZER,
    removal::Remover, service,
};
use crate::{
    api::EventSource,
    controller::{
        ReconcileError,
        context::{MANAGER, ObjectMeta},
    },
};

impl EventSourceController {
    pub(super) async fn carry_out(
        &self,
        observed: &Observed,
        action: &Action,
    ) -> Result<Applied, ReconcileError> {
        let key = &observed.object.meta.key;
        match action {
            Action::AddFinalizer => self.mark(&observed.object.meta, true).await?,
            Action::RemoveFinalizer => self.mark(&observed.object.meta, false).await?,
            Action::RemoveRegistered => {
                let claim = self.context.authority.claim_of(&observed.object.meta.key);
                self.remove_registered(observed, claim.ok_or(ReconcileError::NotHeld)?);
            }
            Action::Run => {
                let name = observed
                    .spec
                    .as_ref()
                    .map(|spec| spec.bus.clone())
                    .unwrap_or_default();
                let bus = self
                    .context
                    .pool
                    .get(&ObjectKey::new(key.namespace.clone(), name));
                self.ports_changed(key, &observed.ports);
                if let Some(bus) = bus {
                    let health = self.context.plane.ensure_source(&observed.source, &bus);
                    return Ok(Applied::Running(health));
                }
            }
            Action::Stop => {
                self.ports_changed(key, &observed.ports);
                self.context.plane.stop_source(key);
            }
            Action::Service => {
                let wanted = wanted_service(observed);
                match &wanted {
                    Some(wanted) => self.apply_service(key, wanted).await?,
                    None => self.remove_service(key, &observed.object.meta.uid).await?,
                }
                self.services.lock().insert(key.clone(), wanted);
            }
            // With the targets that this pass has opened.
            Action::Endpoints => self.publish(key, self.wanted_slice(observed)).await?,
        }
        Ok(Applied::Nothing)
    }

    async fn mark(&self, meta: &ObjectMeta, present: bool) -> Result<(), ReconcileError> {
        let client = self.context.writer(&meta.key);
        let client = &client.ok_or(ReconcileError::NotHeld)?;
        self.context
            .set_finalizer::<EventSource>(client, meta, FINALIZER, present)
            .await
    }

    fn remove_registered(&self, observed: &Observed, claim: Claim) {
        let meta = &observed.object.meta;
        let remover = Remover {
            key: meta.key.clone(),
            uid: meta.uid.clone(),
            plane: self.context.plane.clone(),
            secrets: self.context.secrets.clone(),
            queue: self.context.source_queue.clone(),
        };
        self.removals.start(remover, &observed.registrations, claim);
    }

    /// Requests passes over EventSources of other namespaces that name a port which this one names from now
    /// on, or does not name any more.
    pub(super) fn ports_changed(&self, key: &ObjectKey, now: &BTreeSet<u16>) {
        let before = {
            let mut all = self.ports.lock();
            if now.is_empty() {
                all.remove(key)
            } else {
                all.insert(key.clone(), now.clone())
            }
        };
        for port in before.unwrap_or_default().symmetric_difference(now) {
            for other in self.context.foreign_sources(&key.namespace, *port) {
                self.context.source_queue.add(other);
            }
        }
    }

    async fn apply_service(
        &self,
        source: &ObjectKey,
        wanted: &Value,
    ) -> Result<(), ReconcileError> {
        let client = self.context.writer(source);
        let client = &client.ok_or(ReconcileError::NotHeld)?;
        let key = ObjectKey::new(source.namespace.clone(), service::name_of(&source.name));
        let live = apply_forced(client, &services(), &key, wanted, MANAGER).await?;
        if live
            .data
            .pointer("/spec/selector")
            .is_some_and(|selector| !selector.is_null())
        {
            // Left by upstream, whose pods are not there any more: endpoints would be computed from it.
            let patch = json!({ "spec": { "selector": null } });
            merge_patch(client, &services(), &key, &patch, MANAGER).await?;
        }
        Ok(())
    }

    /// Makes the slice of this replica what it should be. While its lease is not held nothing is written: all
    /// EventSources get another pass once it is.
    async fn publish(
        &self,
        source: &ObjectKey,
        wanted: Option<Value>,
    ) -> Result<(), ReconcileError> {
        if self.slices.is(source, wanted.as_ref()) || !*self.replica.held().borrow() {
            return Ok(());
        }
        let (client, plane) = (self.replica.client(), &self.context.plane);
        let key = self.slice_of(source);
        let numbers = wanted.as_ref().map(service::ports_of).unwrap_or_default();
        // A request without an answer may have been carried out.
        self.slices.doubt(source);
        plane.published(source, &numbers);
        if let Some(slice) = &wanted {
            apply_forced(client, &slices(), &key, slice, MANAGER).await?;
        } else {
            delete(client, &slices(), &key, None, PropagationPolicy::Background).await?;
        }
        plane.published_only(source, &numbers);
        self.slices.set(source, wanted);
        Ok(())
    }

    /// Removes the slice of an EventSource that is gone. The garbage collector removes it too, in its own time.
    pub(super) fn withdraw_later(&self, source: &ObjectKey) {
        if !self.slices.may_exist(source) {
            return;
        }
        self.slices.set(source, None);
        let (client, plane) = (self.replica.client().clone(), self.context.plane.clone());
        let (known, queue) = (self.slices.clone(), self.context.source_queue.clone());
        let (key, source) = (self.slice_of(source), source.clone());
        tokio::spawn(async move {
            let background = PropagationPolicy::Background;
            match delete(&client, &slices(), &key, None, background).await {
                Ok(_) if known.may_exist(&source) => {
                    // Created again meanwhile: its new slice may be the one that was removed.
                    known.doubt(&source);
                    queue.add(source);
                }
                Ok(_) => plane.published_only(&source, &BTreeSet::new()),
                Err(error) => tracing::debug!(%source, %error, "cannot remove an EndpointSlice"),
            }
        });
    }

    fn slice_of(&self, source: &ObjectKey) -> ObjectKey {
        let name = service::slice_name_of(&source.name, self.replica.id());
        ObjectKey::new(source.namespace.clone(), name)
    }

    /// Removes a Service that was asked for once; each replica removes its own slice. One that belongs to
    /// somebody else stays.
    async fn remove_service(&self, source: &ObjectKey, uid: &str) -> Result<(), ReconcileError> {
        let client = self.context.writer(source);
        let client = &client.ok_or(ReconcileError::NotHeld)?;
        let key = ObjectKey::new(source.namespace.clone(), service::name_of(&source.name));
        let Some(live) = get(client, &services(), &key).await? else {
            return Ok(());
        };
        let owners = live.metadata.owner_references.unwrap_or_default();
        if owners.iter().any(|owner| owner.uid == uid) {
            let uid = live.metadata.uid.as_deref();
            delete(
                client,
                &services(),
                &key,
                uid,
                PropagationPolicy::Background,
            )
            .await?;
        }
        Ok(())
    }
}

fn services() -> ApiResource {
    resource_of(&GroupVersionKind::gvk("", "v1", "Service"), "services")
}

fn slices() -> ApiResource {
    resource_of(
        &GroupVersionKind::gvk("discovery.k8s.io", "v1", "EndpointSlice"),
        "endpointslices",
    )
}
