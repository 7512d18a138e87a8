//! What is known about an EventSource.

use std::sync::Arc;

use reconcile_core::object::{FieldError, ObjectKey, Root};
use serde_json::json;

use super::{EventSourceController, service, validate};
use crate::{
    api::EventSource,
    bus::BusState,
    controller::About,
    source::{CheckedSource, ServerCertificate, Webhook},
    trigger::secrets::SecretError,
};

/// What a plan is made from.
pub struct Observed {
    /// Metadata, status, fields without effect.
    pub about: About,
    /// The checked spec.
    pub spec: Result<validate::CheckedSpec, FieldError>,
    /// What should run, with secrets read; events whose secret is missing are left out.
    pub source: Arc<CheckedSource>,
    /// Secrets that cannot be read.
    pub missing: Vec<String>,
    /// The state of the bus; `None` when there is no such EventBus.
    pub bus: Option<BusState>,
    /// The Service that should be there.
    pub service: Option<service::Wanted>,
    /// The Service is as it should be already.
    pub service_done: bool,
    /// There is no address that other pods could reach.
    pub unreachable: bool,
}

impl EventSourceController {
    pub(super) async fn look(&self, root: &Root<EventSource>) -> Observed {
        let value = root.spec_value();
        let spec = validate::check(&root.key().name, &value);
        let about = About::of(root, spec.is_ok(), || validate::findings(&value));
        let marks = &about.marks;
        let mut missing = Vec::new();
        let mut source = CheckedSource {
            key: marks.key.clone(),
            uid: marks.uid.clone(),
            webhooks: Vec::new(),
            calendars: Vec::new(),
        };
        let mut bus = None;
        let mut wanted = None;
        if let Ok(spec) = &spec {
            for (webhook, secrets) in &spec.webhooks {
                match self
                    .with_secrets(&marks.key.namespace, webhook, secrets)
                    .await
                {
                    Ok(webhook) => source.webhooks.push(webhook),
                    Err(error) => missing.push(format!("spec.webhook.{}: {error}", webhook.event)),
                }
            }
            source.calendars.clone_from(&spec.calendars);
            let key = ObjectKey::new(marks.key.namespace.clone(), spec.bus.clone());
            bus = self
                .shared
                .pool
                .get(&key)
                .map(|bus| bus.state().borrow().clone());
            let owner = json!(root.controller_reference());
            let service = spec.service.as_ref();
            wanted =
                service.map(|service| service::wanted(&marks.key, &owner, service, self.address));
        }
        let service_done = self
            .services
            .lock()
            .get(&marks.key)
            .is_some_and(|done| *done == wanted);
        Observed {
            spec,
            source: Arc::new(source),
            missing,
            bus,
            unreachable: wanted
                .as_ref()
                .is_some_and(|wanted| wanted.endpoints.is_none()),
            service: wanted,
            service_done,
            about,
        }
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
        let stored = &self.shared.secrets;
        if let Some(key) = &secrets.token {
            webhook.token = Some(stored.needed_secret(namespace, key).await?);
        }
        if let Some((chain, key)) = &secrets.certificate {
            webhook.tls = Some(ServerCertificate {
                chain: stored.needed_secret(namespace, chain).await?,
                key: stored.needed_secret(namespace, key).await?,
            });
        }
        Ok(webhook)
    }
}
