//! What an EventBus may ask for.

use reconcile_core::{
    fields::Finding,
    object::{FieldError, ObjectKey},
};
use serde_json::Value;

use super::deployment::{self, BusDefaults, Deployment};

use crate::{
    api::{
        decode,
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
    /// What the controller deploys; absent for a bus that exists already.
    pub deployment: Option<Deployment>,
}

/// Checks the `spec` of an EventBus.
pub fn check(
    bus: &ObjectKey,
    spec: &Value,
    defaults: &BusDefaults,
) -> Result<CheckedBus, FieldError> {
    let parsed: EventBusSpec = decode("spec", spec)?;
    let asked = match (parsed.jetstream, parsed.nats, parsed.kafka) {
        (Some(spec), _, _) => deployment::Asked::JetStream(spec),
        (None, Some(nats), _) => match nats.native {
            Some(spec) if nats.exotic.is_none() => deployment::Asked::Native(spec),
            _ => {
                let message = "not supported: NATS Streaming has no maintained client; use jetstreamExotic with a JetStream server";
                return Err(FieldError::new("spec.nats.exotic", message));
            }
        },
        (None, None, Some(_)) => {
            let message = "not supported: buses are JetStream; use jetstream, or jetstreamExotic with a server of your own";
            return Err(FieldError::new("spec.kafka", message));
        }
        (None, None, None) => {
            let Some(exotic) = parsed.jetstream_exotic else {
                let message = "must have one of jetstream, jetstreamExotic and nats.native";
                return Err(FieldError::new("spec", message));
            };
            return check_exotic(exotic);
        }
    };
    let (deployment, raw, stream) = deployment::check(bus, asked, defaults)?;
    Ok(CheckedBus {
        urls: raw.url.iter().cloned().collect(),
        auth: Auth::None,
        raw,
        stream,
        deployment: Some(deployment),
    })
}

/// Checks how to reach a server that exists already.
pub fn check_exotic(mut raw: JetStreamConfig) -> Result<CheckedBus, FieldError> {
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
        deployment: None,
    })
}

/// Fields without effect.
pub fn findings(spec: &Value) -> Vec<Finding> {
    EVENT_BUS.findings(spec, "spec")
}

/// Reads the value of `accessSecret`: a credentials file, the seed of a user's key, or YAML with `username` and
/// `password`, `nkey` or `token`. Anything else is a token.
pub fn auth(text: &str) -> Auth {
    if text.contains("-----BEGIN NATS USER JWT-----") {
        return Auth::Credentials(text.to_owned().into());
    }
    let plain = text.trim();
    if nkeys::KeyPair::from_seed(plain).is_ok() {
        return Auth::Nkey(plain.to_owned().into());
    }
    let value = reconcile_core::yaml::value(text).unwrap_or(Value::Null);
    let member = |name: &str| match value.get(name) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    if let Some(username) = member("username") {
        return Auth::Basic {
            username,
            password: member("password").unwrap_or_default().into(),
        };
    }
    match (member("nkey"), member("token")) {
        (Some(seed), _) => Auth::Nkey(seed.into()),
        (None, Some(token)) => Auth::Token(token.into()),
        (None, None) => Auth::Token(plain.to_owned().into()),
    }
}
