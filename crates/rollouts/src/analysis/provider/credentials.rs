//! Addresses and credentials of monitoring services, which are in Secrets.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use reconcile_core::error::error_chain;

use super::{Task, error::ProviderError};

/// The contents of a Secret.
pub(super) struct Credentials {
    secret: String,
    data: BTreeMap<String, String>,
}

impl Credentials {
    /// Reads a Secret. `None` when it does not exist.
    pub(super) async fn find(
        task: &Task<'_>,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Self>, ProviderError> {
        let api: Api<Secret> = Api::namespaced(task.tools.client.clone(), namespace);
        let secret = format!("{namespace}/{name}");
        let found = api.get_opt(name).await.map_err(|error| {
            ProviderError::unavailable(format!(
                "cannot read Secret {secret}: {}",
                error_chain(&error)
            ))
        })?;
        Ok(found.map(|found| Self {
            secret,
            data: found
                .data
                .unwrap_or_default()
                .into_iter()
                .map(|(key, bytes)| {
                    let text = String::from_utf8_lossy(&bytes.0).trim().to_owned();
                    (key, text)
                })
                .collect(),
        }))
    }

    /// Reads a Secret of the controller's namespace that must exist.
    pub(super) async fn read(task: &Task<'_>, name: &str) -> Result<Self, ProviderError> {
        let namespace = &task.tools.config.namespace;
        Self::find(task, namespace, name)
            .await?
            .ok_or_else(|| ProviderError::invalid(format!("Secret {namespace}/{name} not found")))
    }

    /// A value that is no secret, for example an address; `None` when it is absent or empty.
    pub(super) fn plain(&self, key: &str) -> Option<&str> {
        self.data
            .get(key)
            .map(String::as_str)
            .filter(|text| !text.is_empty())
    }

    /// A value that is no secret and must be there.
    pub(super) fn required(&self, key: &str) -> Result<&str, ProviderError> {
        self.plain(key).ok_or_else(|| {
            ProviderError::invalid(format!(
                "cannot read Secret {}: key {key} not found",
                self.secret
            ))
        })
    }

    /// A credential that must be there; no text shows it.
    pub(super) fn credential(&self, task: &Task<'_>, key: &str) -> Result<&str, ProviderError> {
        let value = self.required(key)?;
        task.redactor.add(value);
        Ok(value)
    }
}
