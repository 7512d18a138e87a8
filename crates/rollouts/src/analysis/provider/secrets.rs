//! Values of arguments that stand in Secrets: read for each measurement, never shown.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use super::Order;
use crate::api::analysis::{Argument, SecretKeyRef};

/// What stands where a secret value stood.
const REDACTED: &str = "*****";

/// Arguments with all their values.
#[derive(Debug)]
pub(super) struct Resolved {
    /// The arguments.
    pub(super) arguments: Vec<Argument>,
    secrets: Vec<String>,
}

/// A Secret's value could not be had.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SecretError {
    /// It does not exist: the run cannot go on.
    Missing(String),
    /// The API server did not give it now.
    Unavailable(String),
}

impl Resolved {
    /// `text` without secret values.
    pub(super) fn redact(&self, mut text: String) -> String {
        for secret in self.secrets.iter().filter(|secret| !secret.is_empty()) {
            text = text.replace(secret.as_str(), REDACTED);
        }
        text
    }
}

/// Reads the Secrets that the arguments of `order` refer to.
pub(super) async fn resolve(client: &Client, order: &Order) -> Result<Resolved, SecretError> {
    let mut resolved = Resolved {
        arguments: Vec::new(),
        secrets: Vec::new(),
    };
    for argument in &order.arguments {
        let from = argument
            .value_from
            .as_ref()
            .and_then(|from| from.secret_key_ref.as_ref());
        let value = match from {
            None => argument.value.clone(),
            Some(from) => {
                let value = read(client, &order.namespace, from).await?;
                resolved.secrets.push(value.clone());
                Some(value)
            }
        };
        let name = argument.name.clone();
        resolved.arguments.push(Argument {
            name,
            value,
            value_from: None,
        });
    }
    // A value that contains another one goes first, so that nothing of it remains.
    resolved
        .secrets
        .sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    Ok(resolved)
}

async fn read(
    client: &Client,
    namespace: &str,
    from: &SecretKeyRef,
) -> Result<String, SecretError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = api.get_opt(&from.name).await.map_err(|error| {
        SecretError::Unavailable(format!("cannot read secret '{}': {error}", from.name))
    })?;
    let Some(secret) = secret else {
        return Err(SecretError::Missing(format!(
            "secrets \"{}\" not found",
            from.name
        )));
    };
    let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(&from.key)) else {
        let message = format!(
            "key '{}' does not exist in secret '{}'",
            from.key, from.name
        );
        return Err(SecretError::Missing(message));
    };
    Ok(String::from_utf8_lossy(&bytes.0).into_owned())
}
