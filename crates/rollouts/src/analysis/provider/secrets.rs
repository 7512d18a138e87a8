//! Values of arguments that Secrets hold: read for each measurement, never shown.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use secrecy::{ExposeSecret, SecretString};

use super::redaction::Redactor;
use crate::api::analysis::{Argument, SecretKeyRef};

/// Arguments with all their values, secret ones included. Not printable for that reason.
pub(super) struct ResolvedArguments(Vec<Argument>);

/// A Secret's value cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SecretError {
    /// It does not exist: the run cannot continue.
    Missing(String),
    /// The API server did not give it now.
    Unavailable(String),
}

impl ResolvedArguments {
    /// The arguments, to be filled into a metric.
    pub(super) fn expose(&self) -> &[Argument] {
        &self.0
    }
}

/// Reads the Secrets that `arguments` refer to and adds their values to `redactor`.
pub(super) async fn resolve(
    client: &Client,
    namespace: &str,
    arguments: &[Argument],
    redactor: &Redactor,
) -> Result<ResolvedArguments, SecretError> {
    let mut resolved = Vec::with_capacity(arguments.len());
    for argument in arguments {
        let from = argument
            .value_from
            .as_ref()
            .and_then(|from| from.secret_key_ref.as_ref());
        let value = match from {
            None => argument.value.clone(),
            Some(from) => {
                let value = read(client, namespace, from).await?;
                redactor.add(value.expose_secret());
                Some(value.expose_secret().to_owned())
            }
        };
        resolved.push(Argument {
            name: argument.name.clone(),
            value,
            value_from: None,
        });
    }
    Ok(ResolvedArguments(resolved))
}

/// True when an argument takes its value from a Secret.
pub(super) fn has_secrets(arguments: &[Argument]) -> bool {
    let mut sources = arguments
        .iter()
        .filter_map(|argument| argument.value_from.as_ref());
    sources.any(|from| from.secret_key_ref.is_some())
}

async fn read(
    client: &Client,
    namespace: &str,
    from: &SecretKeyRef,
) -> Result<SecretString, SecretError> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = api.get_opt(&from.name).await.map_err(|error| {
        SecretError::Unavailable(format!(
            "cannot read Secret {namespace}/{}: {error}",
            from.name
        ))
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
    Ok(SecretString::from(
        String::from_utf8_lossy(&bytes.0).into_owned(),
    ))
}
