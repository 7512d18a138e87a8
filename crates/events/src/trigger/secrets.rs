//! Values of Secrets and ConfigMaps, read with the rights of the controller.
//!
//! Upstream mounts them into the pod, so the service account of a Sensor needs no rights on them; neither
//! does it here. Values are kept for a short time, as a mounted file would be.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, Client};
use parking_lot::Mutex;
use thiserror::Error;
use tokio::time::Instant;

use crate::api::{KeySelector, ValueFrom};

/// How long a value is used; the kubelet takes about as long to update a mounted file.
const FRESH: Duration = Duration::from_secs(60);
/// Objects kept; the oldest ones are read again after the cache was emptied.
const MOST: usize = 512;

/// A value that cannot be read.
#[derive(Clone, Debug, Error)]
#[error("{kind} {namespace}/{name}: {reason}")]
pub struct SecretError {
    kind: &'static str,
    namespace: String,
    name: String,
    reason: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Secret,
    ConfigMap,
}

type Id = (Kind, String, String);
type Data = Arc<BTreeMap<String, String>>;

/// Reads values. Cloning shares the cache.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    cache: Arc<Mutex<HashMap<Id, (Instant, Data)>>>,
}

impl Secrets {
    /// Reads with `client`.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            cache: Arc::default(),
        }
    }

    /// The value of a Secret's key, without a newline at its end. `None` for an absent optional one.
    pub async fn secret(
        &self,
        namespace: &str,
        key: &KeySelector,
    ) -> Result<Option<String>, SecretError> {
        self.value(Kind::Secret, namespace, key).await
    }

    /// The value of a ConfigMap's key. `None` for an absent optional one.
    pub async fn config(
        &self,
        namespace: &str,
        key: &KeySelector,
    ) -> Result<Option<String>, SecretError> {
        self.value(Kind::ConfigMap, namespace, key).await
    }

    /// As [`Secrets::secret`] or [`Secrets::config`].
    pub async fn value_from(
        &self,
        namespace: &str,
        from: &ValueFrom,
    ) -> Result<Option<String>, SecretError> {
        match (&from.secret_key_ref, &from.config_map_key_ref) {
            (Some(key), _) => self.secret(namespace, key).await,
            (None, Some(key)) => self.config(namespace, key).await,
            (None, None) => Ok(None),
        }
    }

    async fn value(
        &self,
        kind: Kind,
        namespace: &str,
        key: &KeySelector,
    ) -> Result<Option<String>, SecretError> {
        let data = self.data(kind, namespace, &key.name).await?;
        match data.as_deref().and_then(|data| data.get(&key.key)) {
            Some(value) => Ok(Some(value.strip_suffix('\n').unwrap_or(value).to_owned())),
            None if key.optional == Some(true) => Ok(None),
            None => {
                let reason = match data {
                    None => "does not exist".to_owned(),
                    Some(_) => format!("has no key {:?}", key.key),
                };
                Err(error(kind, namespace, &key.name, reason))
            }
        }
    }

    async fn data(
        &self,
        kind: Kind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Data>, SecretError> {
        let id = (kind, namespace.to_owned(), name.to_owned());
        if let Some((read, data)) = self.cache.lock().get(&id)
            && read.elapsed() < FRESH
        {
            return Ok(Some(data.clone()));
        }
        let data = match kind {
            Kind::Secret => Api::<Secret>::namespaced(self.client.clone(), namespace)
                .get_opt(name)
                .await
                .map(|found| found.map(secret_data)),
            Kind::ConfigMap => Api::<ConfigMap>::namespaced(self.client.clone(), namespace)
                .get_opt(name)
                .await
                .map(|found| found.map(|map| map.data.unwrap_or_default())),
        };
        let data = data.map_err(|failed| error(kind, namespace, name, failed.to_string()))?;
        let Some(data) = data.map(Arc::new) else {
            return Ok(None);
        };
        let mut cache = self.cache.lock();
        if cache.len() >= MOST {
            cache.clear();
        }
        cache.insert(id, (Instant::now(), data.clone()));
        Ok(Some(data))
    }
}

fn secret_data(secret: Secret) -> BTreeMap<String, String> {
    secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned()))
        .collect()
}

fn error(kind: Kind, namespace: &str, name: &str, reason: String) -> SecretError {
    SecretError {
        kind: match kind {
            Kind::Secret => "Secret",
            Kind::ConfigMap => "ConfigMap",
        },
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        reason,
    }
}
