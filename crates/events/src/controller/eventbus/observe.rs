//! What is known about an EventBus.

use reconcile_core::{
    egress::EgressPolicy,
    object::{FieldError, Root},
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{
    EventBusController,
    deployment::{Live, live},
    validate,
};
use crate::{
    api::{EventBus, KeySelector},
    bus::{BusConfig, BusState},
    controller::{ObjectState, ReconcileError},
    tls::{ClientCertificate, TlsSettings},
    trigger::secrets::{SecretError, Secrets},
};

/// Settings with secrets, or why they are not there.
pub type Credentials = Result<BusConfig, SecretError>;

/// What a plan is made from.
pub struct Observed {
    /// Metadata, status, fields without effect.
    pub object: ObjectState,
    /// The checked spec.
    pub spec: Result<validate::CheckedBus, FieldError>,
    /// Settings to connect with; absent when the spec is not valid.
    pub credentials: Option<Credentials>,
    /// The connection that exists: its settings and state.
    pub connection: Option<(BusConfig, BusState)>,
    /// The largest message that the server takes, in bytes; absent until it is connected.
    pub largest_message: Option<usize>,
    /// What the server refused of `streamConfig`.
    pub settings_problem: Option<String>,
    /// What exists of a bus that the controller deploys.
    pub live: Option<Live>,
    /// Who uses the bus.
    pub users: Vec<String>,
}

impl EventBusController {
    pub(super) async fn look(&self, root: &Root<EventBus>) -> Result<Observed, ReconcileError> {
        let value = root.spec_value();
        let spec = validate::check(&root.key(), &value, &self.defaults);
        let object = ObjectState::of(root, &spec, || validate::findings(&value));
        let meta = &object.meta;
        let deployment = spec.as_ref().ok().and_then(|spec| spec.deployment.as_ref());
        let live = match deployment {
            Some(deployment) if !meta.deleting => {
                let (client, namespace) = (&self.context.client, &meta.key.namespace);
                let owner = json!(root.controller_reference());
                Some(live::look(client, &deployment.names, namespace, owner).await?)
            }
            _ => None,
        };
        let credentials = match &spec {
            Ok(spec) if !meta.deleting => Some(
                credentials(
                    &self.context.secrets,
                    self.context.egress,
                    &meta.key.namespace,
                    spec,
                )
                .await,
            ),
            _ => None,
        };
        let connection = self.context.pool.get(&meta.key);
        Ok(Observed {
            spec,
            live,
            credentials,
            largest_message: connection
                .as_ref()
                .map(|bus| bus.largest_message())
                .filter(|largest| *largest != usize::MAX),
            settings_problem: connection.as_ref().and_then(|bus| bus.settings_problem()),
            connection: connection.map(|bus| (bus.config.clone(), bus.state().borrow().clone())),
            users: if meta.deleting {
                self.context.users(&meta.key)
            } else {
                Vec::new()
            },
            object,
        })
    }
}

/// The settings to connect with; Secrets are read in `namespace`.
pub async fn credentials(
    secrets: &Secrets,
    egress: EgressPolicy,
    namespace: &str,
    spec: &validate::CheckedBus,
) -> Credentials {
    let read = |key: Option<&KeySelector>| secret(secrets, namespace, key.cloned());
    let auth = match read(spec.raw.access_secret.as_ref()).await? {
        None => spec.auth.clone(),
        Some(text) => validate::auth(text.expose_secret()),
    };
    let tls = match &spec.raw.tls {
        None => None,
        Some(tls) => {
            let certificate = read(tls.client_cert_secret.as_ref()).await?;
            let key = read(tls.client_key_secret.as_ref()).await?;
            let ca = read(tls.ca_cert_secret.as_ref()).await?;
            Some(TlsSettings {
                ca: ca.map(|ca| ca.expose_secret().to_owned()),
                client: certificate.zip(key).map(|(chain, key)| ClientCertificate {
                    chain: chain.expose_secret().to_owned(),
                    key: key.into(),
                }),
                insecure: tls.insecure_skip_verify == Some(true),
            })
        }
    };
    Ok(BusConfig {
        urls: spec.urls.clone(),
        auth,
        tls,
        stream: spec.stream.clone(),
        egress,
    })
}

async fn secret(
    secrets: &Secrets,
    namespace: &str,
    key: Option<KeySelector>,
) -> Result<Option<SecretString>, SecretError> {
    match key {
        None => Ok(None),
        Some(key) => secrets.secret(namespace, &key).await,
    }
}
