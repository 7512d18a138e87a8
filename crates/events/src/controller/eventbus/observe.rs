//! What is known about an EventBus.

use reconcile_core::object::{FieldError, Root};
use secrecy::{ExposeSecret, SecretString};

use super::{EventBusController, validate};
use crate::{
    api::{EventBus, KeySelector},
    bus::{BusConfig, BusState},
    controller::ObjectState,
    tls::{ClientCertificate, TlsSettings},
    trigger::secrets::SecretError,
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
    /// What the server refused of `streamConfig`.
    pub settings_problem: Option<String>,
    /// Who uses the bus.
    pub users: Vec<String>,
}

impl EventBusController {
    pub(super) async fn look(&self, root: &Root<EventBus>) -> Observed {
        let value = root.spec_value();
        let spec = validate::check(&value);
        let object = ObjectState::of(root, &spec, || validate::findings(&value));
        let meta = &object.meta;
        let credentials = match &spec {
            Ok(spec) if !meta.deleting => Some(self.credentials(&meta.key.namespace, spec).await),
            _ => None,
        };
        let connection = self.context.pool.get(&meta.key);
        Observed {
            spec,
            credentials,
            settings_problem: connection.as_ref().and_then(|bus| bus.settings_problem()),
            connection: connection.map(|bus| (bus.config.clone(), bus.state().borrow().clone())),
            users: if meta.deleting {
                self.context.users(&meta.key)
            } else {
                Vec::new()
            },
            object,
        }
    }

    async fn credentials(&self, namespace: &str, spec: &validate::CheckedBus) -> Credentials {
        let auth = match self
            .secret(namespace, spec.raw.access_secret.as_ref())
            .await?
        {
            None => spec.auth.clone(),
            Some(text) => validate::auth(text.expose_secret()),
        };
        let tls = match &spec.raw.tls {
            None => None,
            Some(tls) => {
                let certificate = self
                    .secret(namespace, tls.client_cert_secret.as_ref())
                    .await?;
                let key = self
                    .secret(namespace, tls.client_key_secret.as_ref())
                    .await?;
                Some(TlsSettings {
                    ca: self
                        .secret(namespace, tls.ca_cert_secret.as_ref())
                        .await?
                        .map(|ca| ca.expose_secret().to_owned()),
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
            egress: self.context.egress,
        })
    }

    async fn secret(
        &self,
        namespace: &str,
        key: Option<&KeySelector>,
    ) -> Result<Option<SecretString>, SecretError> {
        match key {
            None => Ok(None),
            Some(key) => self.context.secrets.secret(namespace, key).await,
        }
    }
}
