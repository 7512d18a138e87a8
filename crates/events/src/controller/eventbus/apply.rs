//! The effects of an EventBus.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::tz::TimeZone;
use reconcile_core::{
    apply::{apply_forced, merge_patch},
    object::{FieldError, ObjectKey},
};
use serde_json::json;

use super::{
    Action, EventBusController, Observed,
    deployment::{
        Deployment, Live, live,
        secrets::{AUTHORITY, Place},
    },
    plan::FINALIZER,
};
use crate::{
    api::EventBus,
    controller::{ReconcileError, context::MANAGER},
};

impl EventBusController {
    pub(super) async fn carry_out(
        &self,
        observed: &Observed,
        action: &Action,
    ) -> Result<(), ReconcileError> {
        let meta = &observed.object.meta;
        match action {
            Action::AddFinalizer => {
                self.context
                    .set_finalizer::<EventBus>(&self.context.client, meta, FINALIZER, true)
                    .await
            }
            Action::RemoveFinalizer => {
                self.context
                    .set_finalizer::<EventBus>(&self.context.client, meta, FINALIZER, false)
                    .await
            }
            Action::CreateSecrets => match deployed(observed) {
                Some((deployment, live)) => self.create_secrets(observed, deployment, live).await,
                None => Ok(()),
            },
            Action::AddAuthority(authority) => match deployed(observed) {
                Some((deployment, _)) => {
                    let name = deployment.names.client_secret();
                    let patch = json!({ "data": { AUTHORITY: STANDARD.encode(authority) } });
                    let key = ObjectKey::new(meta.key.namespace.clone(), name);
                    let (client, secrets) = (&self.context.client, live::secrets_resource());
                    merge_patch(client, &secrets, &key, &patch, MANAGER).await?;
                    self.context.bus_queue.add(meta.key.clone());
                    Ok(())
                }
                None => Ok(()),
            },
            Action::Deploy(object) => {
                let key = ObjectKey::new(meta.key.namespace.clone(), object.name.clone());
                let resource = object.kind.resource();
                let client = &self.context.client;
                apply_forced(client, &resource, &key, &object.body, MANAGER).await?;
                Ok(())
            }
            Action::DeleteVolumes => {
                let spec = observed.spec.as_ref().ok();
                if let Some(deployment) = spec.and_then(|spec| spec.deployment.as_ref()) {
                    let (client, namespace) = (&self.context.client, &meta.key.namespace);
                    live::delete_volumes(client, &deployment.names, namespace).await?;
                }
                Ok(())
            }
            Action::Connect(config) => {
                let (context, key) = (self.context.clone(), meta.key.clone());
                let changed = move || context.bus_changed(&key);
                self.context
                    .pool
                    .ensure(&meta.key, config.as_ref().clone(), changed)
                    .await?;
                self.context.bus_changed(&meta.key);
                Ok(())
            }
            Action::Disconnect => {
                self.context.pool.remove(&meta.key);
                Ok(())
            }
        }
    }

    async fn create_secrets(
        &self,
        observed: &Observed,
        deployment: &Deployment,
        live: &Live,
    ) -> Result<(), ReconcileError> {
        let bus = &observed.object.meta.key;
        let place = Place {
            names: &deployment.names,
            namespace: &bus.namespace,
            owner: &live.owner,
        };
        let year = self.clock.now().to_zoned(TimeZone::UTC).year();
        let secrets = place.generate_again(year, live).map_err(|error| {
            FieldError::new("metadata.name", format!("no certificate for it: {error}"))
        })?;
        let resource = live::secrets_resource();
        for (name, body) in [
            (deployment.names.server_secret(), secrets.server),
            (deployment.names.client_secret(), secrets.client),
        ] {
            let key = ObjectKey::new(bus.namespace.clone(), name);
            apply_forced(&self.context.client, &resource, &key, &body, MANAGER).await?;
            self.context.secrets.forget_secret(&key);
        }
        // The next pass connects with them.
        self.context.bus_queue.add(bus.clone());
        Ok(())
    }
}

fn deployed(observed: &Observed) -> Option<(&Deployment, &Live)> {
    let spec = observed.spec.as_ref().ok()?;
    spec.deployment.as_ref().zip(observed.live.as_ref())
}
