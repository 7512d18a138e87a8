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
use reconcile_core::{object::ObjectKey, redaction::Redactor};
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use tokio::time::Instant;

use crate::api::{KeySelector, ValueFrom};

/// How long a value is used; the kubelet takes about as long to update a mounted file.
const FRESH: Duration = Duration::from_secs(60);
/// Objects kept; the oldest ones are read again after the cache was emptied.
const MOST: usize = 512;

/// A value that cannot be read.
#[derive(Clone, Debug, Error)]
#[error("cannot read {kind} {namespace}/{name}: {reason}")]
pub struct SecretError {
    kind: &'static str,
    namespace: String,
    name: String,
    reason: String,
}

impl SecretError {
    /// There is no such Secret.
    pub(crate) fn not_found(namespace: &str, name: &str) -> Self {
        error(ObjectKind::Secret, namespace, name, "not found".to_owned())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ObjectKind {
    Secret,
    ConfigMap,
}

type Id = (ObjectKind, String, String);
type Data = Arc<BTreeMap<String, SecretString>>;

/// Reads values. Cloning shares the cache.
#[derive(Clone)]
pub struct Secrets {
    client: Client,
    cache: Arc<Mutex<HashMap<Id, (Instant, Data)>>>,
    /// The Secrets that one action has read.
    read: Option<Arc<Redactor>>,
}

impl Secrets {
    /// Reads with `client`.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            cache: Arc::default(),
            read: None,
        }
    }

    /// The same values, for one action: what it reads is hidden by [`Secrets::redact`].
    #[must_use]
    pub fn recording(&self) -> Self {
        Self {
            read: Some(Arc::default()),
            ..self.clone()
        }
    }

    /// A text without the values that were read.
    pub fn redact(&self, text: String) -> String {
        match &self.read {
            Some(read) => read.redact(text),
            None => text,
        }
    }

    /// The beginning of a text of a server, on one line and without Secrets.
    pub fn excerpt(&self, text: String) -> String {
        const SHOWN: usize = 300;
        let text = self.redact(text);
        text.chars()
            .filter(|c| !c.is_control())
            .take(SHOWN)
            .collect()
    }

    /// Hides a user name and password also as they are sent in a header.
    pub fn read_login(&self, name: &str, password: &str) {
        if let Some(read) = &self.read {
            read.add_login(name, password);
        }
    }

    /// The value of a Secret's key, without a newline at its end. `None` for an absent optional one.
    pub async fn secret(
        &self,
        namespace: &str,
        key: &KeySelector,
    ) -> Result<Option<SecretString>, SecretError> {
        self.value(ObjectKind::Secret, namespace, key).await
    }

    /// As [`Secrets::secret`] for a value that nothing can do without: `optional` makes no difference.
    pub async fn needed_secret(
        &self,
        namespace: &str,
        key: &KeySelector,
    ) -> Result<SecretString, SecretError> {
        let needed = KeySelector {
            optional: None,
            ..key.clone()
        };
        let value = self.secret(namespace, &needed).await?;
        value.ok_or_else(|| SecretError::not_found(namespace, &key.name))
    }

    /// The value of a ConfigMap's key. `None` for an absent optional one.
    pub async fn config(
        &self,
        namespace: &str,
        key: &KeySelector,
    ) -> Result<Option<String>, SecretError> {
        let value = self.value(ObjectKind::ConfigMap, namespace, key).await?;
        Ok(value.map(|text| text.expose_secret().to_owned()))
    }

    /// As [`Secrets::secret`] or [`Secrets::config`].
    pub async fn value_from(
        &self,
        namespace: &str,
        from: &ValueFrom,
    ) -> Result<Option<SecretString>, SecretError> {
        match (&from.secret_key_ref, &from.config_map_key_ref) {
            (Some(key), _) => self.secret(namespace, key).await,
            (None, Some(key)) => self.value(ObjectKind::ConfigMap, namespace, key).await,
            (None, None) => Ok(None),
        }
    }

    async fn value(
        &self,
        kind: ObjectKind,
        namespace: &str,
        key: &KeySelector,
    ) -> Result<Option<SecretString>, SecretError> {
        let mut data = self.data(kind, namespace, &key.name).await?;
        if data
            .as_ref()
            .is_some_and(|data| !data.contains_key(&key.key))
        {
            // A key that was added a moment ago.
            self.forget(kind, namespace, &key.name);
            data = self.data(kind, namespace, &key.name).await?;
        }
        match data.as_deref().and_then(|data| data.get(&key.key)) {
            Some(value) => {
                let text = value.expose_secret();
                if let (ObjectKind::Secret, Some(read)) = (kind, &self.read) {
                    read.add(text);
                }
                Ok(Some(text.strip_suffix('\n').unwrap_or(text).into()))
            }
            None if key.optional == Some(true) => Ok(None),
            None => {
                let reason = match data {
                    None => "not found".to_owned(),
                    Some(_) => format!("key {} not found", key.key),
                };
                Err(error(kind, namespace, &key.name, reason))
            }
        }
    }

    /// Has the next read of a Secret ask the API server.
    pub fn forget_secret(&self, key: &ObjectKey) {
        self.forget(ObjectKind::Secret, &key.namespace, &key.name);
    }

    fn forget(&self, kind: ObjectKind, namespace: &str, name: &str) {
        let id = (kind, namespace.to_owned(), name.to_owned());
        self.cache.lock().remove(&id);
    }

    async fn data(
        &self,
        kind: ObjectKind,
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
            ObjectKind::Secret => Api::<Secret>::namespaced(self.client.clone(), namespace)
                .get_opt(name)
                .await
                .map(|found| found.map(secret_data)),
            ObjectKind::ConfigMap => Api::<ConfigMap>::namespaced(self.client.clone(), namespace)
                .get_opt(name)
                .await
                .map(|found| found.map(config_data)),
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

fn config_data(map: ConfigMap) -> BTreeMap<String, SecretString> {
    map.data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect()
}

fn secret_data(secret: Secret) -> BTreeMap<String, SecretString> {
    secret
        .data
        .unwrap_or_default()
        .into_iter()
        .map(|(key, value)| (key, String::from_utf8_lossy(&value.0).into_owned().into()))
        .collect()
}

fn error(kind: ObjectKind, namespace: &str, name: &str, reason: String) -> SecretError {
    SecretError {
        kind: match kind {
            ObjectKind::Secret => "Secret",
            ObjectKind::ConfigMap => "ConfigMap",
        },
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use reconcile_core::testkit::FakeApi;
    use serde_json::json;

    use super::*;

    fn key(name: &str) -> KeySelector {
        KeySelector {
            name: "s".into(),
            key: name.into(),
            optional: Some(true),
        }
    }

    #[tokio::test]
    async fn what_is_needed_is_never_optional() {
        let api = FakeApi::new();
        let secrets = Secrets::new(api.client());
        assert!(
            secrets
                .secret("ns", &key("a"))
                .await
                .expect("absent")
                .is_none()
        );
        let error = secrets.needed_secret("ns", &key("a")).await;
        assert_eq!(
            error.expect_err("needed").to_string(),
            "cannot read Secret ns/s: not found"
        );
    }

    #[tokio::test]
    async fn a_key_that_was_added_is_seen_at_once() {
        let api = FakeApi::new();
        let secrets = Secrets::new(api.client());
        let secret = |data: serde_json::Value| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "ns"}, "data": data});
        api.put(&secret(json!({"a": "eA=="})));
        let read = async |name: &str| {
            let value = secrets.secret("ns", &key(name)).await.expect("read");
            value.map(|value| value.expose_secret().to_owned())
        };
        assert_eq!(read("a").await.as_deref(), Some("x"));
        assert_eq!(read("b").await, None);
        api.put(&secret(json!({"a": "eA==", "b": "eQo="})));
        // Without the newline at its end.
        assert_eq!(read("b").await.as_deref(), Some("y"));
    }
}
