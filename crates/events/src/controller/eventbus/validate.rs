//! What an EventBus may ask for.

use reconcile_core::{fields::Finding, object::FieldError};
use serde_json::Value;

use crate::{
    api::decode,
    api::{
        eventbus::{EventBusSpec, JetStreamConfig},
        fields::EVENT_BUS,
    },
    bus::{Auth, ServerUrl, StreamSettings},
};

/// An EventBus with everything checked; its secrets are not read yet.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedBus {
    /// Server URLs, without credentials.
    pub urls: Vec<String>,
    /// Credentials that stood in the URLs; those of `accessSecret` win.
    pub auth: Auth,
    /// What the manifest says, with the URLs free of credentials.
    pub raw: JetStreamConfig,
    /// Settings for a new stream.
    pub stream: StreamSettings,
}

/// Checks a `spec`.
pub fn check(spec: &Value) -> Result<CheckedBus, FieldError> {
    let parsed: EventBusSpec = decode("spec", spec)?;
    let deployed = [
        ("jetstream", &parsed.jetstream),
        ("nats", &parsed.nats),
        ("kafka", &parsed.kafka),
    ];
    if let Some((name, _)) = deployed.iter().find(|(_, variant)| variant.is_some()) {
        let message = "not supported yet; use jetstreamExotic";
        return Err(FieldError::new(format!("spec.{name}"), message));
    }
    let Some(mut raw) = parsed.jetstream_exotic else {
        return Err(FieldError::new("spec.jetstreamExotic", "must not be empty"));
    };
    let text = raw.url.as_deref().unwrap_or_default();
    let servers = text
        .split(',')
        .map(str::trim)
        .filter(|url| !url.is_empty())
        .map(ServerUrl::parse)
        .collect::<Result<Vec<_>, _>>();
    let at = |field: &str, message: String| {
        FieldError::new(format!("spec.jetstreamExotic.{field}"), message)
    };
    let servers = servers.map_err(|error| at("url", error))?;
    let Some(first) = servers.first() else {
        return Err(at("url", "must not be empty".into()));
    };
    if servers.iter().any(|server| server.auth != first.auth) {
        let message = "all URLs must hold the same credentials; use accessSecret";
        return Err(at("url", message.into()));
    }
    let auth = first.auth.clone();
    let urls: Vec<String> = servers.into_iter().map(|server| server.url).collect();
    // Copied to the status, where credentials do not belong.
    raw.url = Some(urls.join(","));
    if let Some(secret) = &raw.access_secret
        && (secret.name.is_empty() || secret.key.is_empty())
    {
        return Err(at("accessSecret", "needs a name and a key".into()));
    }
    let config = raw.stream_config.as_deref().unwrap_or_default();
    let config = reconcile_core::yaml::value(config)
        .map_err(|error| at("streamConfig", error.to_string()))?;
    let stream = StreamSettings::parse(&config).map_err(|error| at("streamConfig", error))?;
    if let Some(tls) = &raw.tls
        && tls.client_cert_secret.is_some() != tls.client_key_secret.is_some()
    {
        return Err(at(
            "tls",
            "clientCertSecret and clientKeySecret belong together".into(),
        ));
    }
    Ok(CheckedBus {
        urls,
        auth,
        raw,
        stream,
    })
}

/// Fields without effect.
pub fn findings(spec: &Value) -> Vec<Finding> {
    EVENT_BUS.findings(spec, "spec")
}

/// Reads the value of `accessSecret`: YAML with user and password, or with a token. Anything else is a
/// token.
pub fn auth(text: &str) -> Auth {
    let value = reconcile_core::yaml::value(text).unwrap_or(Value::Null);
    let member = |name: &str| match value.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    match (member("username"), member("password"), member("token")) {
        (Some(username), password, _) => Auth::Basic {
            username,
            password: password.unwrap_or_default().into(),
        },
        (None, _, Some(token)) => Auth::Token(token.into()),
        (None, _, None) => Auth::Token(text.trim().to_owned().into()),
    }
}
