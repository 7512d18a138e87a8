//! Address and keys of Datadog.

use reqwest::{Url, header::HeaderMap};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    analysis::provider::{
        Task,
        checks::{self, filled},
        credentials::Credentials,
        error::ProviderError,
        http::secret_header,
    },
    api::analysis::Datadog,
};

/// Where Datadog is when the credentials name no address.
const DEFAULT_ADDRESS: &str = "https://api.datadoghq.com";

/// Name of the Secret when the metric names none.
const DEFAULT_SECRET: &str = "datadog";

/// Address and keys.
pub(super) struct Account {
    address: String,
    api_key: SecretString,
    app_key: SecretString,
}

impl Account {
    /// The Secret that the metric names; else the environment, else the Secret `datadog`.
    pub(super) async fn find(task: &Task<'_>, spec: &Datadog) -> Result<Self, ProviderError> {
        let config = &task.tools.config;
        let secret = spec.secret_ref.as_ref();
        let named = secret.and_then(|secret| filled(secret.name.as_ref()));
        let namespace = if secret.is_some_and(|secret| secret.namespaced) {
            &task.request.namespace
        } else {
            &config.namespace
        };
        if named.is_none()
            && let Some(account) = Self::from_environment(task)
        {
            return Ok(account);
        }
        let name = named.unwrap_or(DEFAULT_SECRET);
        let found = Credentials::find(task, namespace, name)
            .await?
            .ok_or_else(|| {
                ProviderError::invalid(format!(
                    "failed to find the credentials for datadog metrics provider: Secret \
                 {namespace}/{name} not found"
                ))
            })?;
        Ok(Self {
            address: found.plain("address").unwrap_or(DEFAULT_ADDRESS).to_owned(),
            api_key: found.credential(task, "api-key")?.into(),
            app_key: found.credential(task, "app-key")?.into(),
        })
    }

    fn from_environment(task: &Task<'_>) -> Option<Self> {
        let read = |name: &str| (task.tools.environment)(name).filter(|text| !text.is_empty());
        let account = Self {
            address: read("DD_ADDRESS").unwrap_or_else(|| DEFAULT_ADDRESS.to_owned()),
            api_key: read("DD_API_KEY")?.into(),
            app_key: read("DD_APP_KEY")?.into(),
        };
        task.redactor.add(account.api_key.expose_secret());
        task.redactor.add(account.app_key.expose_secret());
        Some(account)
    }

    pub(super) fn url(&self, path: &str) -> Result<Url, ProviderError> {
        let server = checks::parse_url(&self.address).map_err(ProviderError::invalid)?;
        Ok(checks::below(server, path))
    }

    pub(super) fn headers(&self) -> Result<HeaderMap, ProviderError> {
        let mut headers = HeaderMap::new();
        headers.insert("dd-api-key", secret_header(self.api_key.expose_secret())?);
        headers.insert(
            "dd-application-key",
            secret_header(self.app_key.expose_secret())?,
        );
        Ok(headers)
    }
}
