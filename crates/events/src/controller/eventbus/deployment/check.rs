//! What `spec.jetstream` may ask for.

use std::cmp::min;

use reconcile_core::{
    object::{FieldError, ObjectKey},
    yaml,
};
use serde_json::{Value, json};

use super::{BusDefaults, Deployment, Names, config::settings_of, secrets};
use crate::{
    api::{
        KeySelector, TlsConfig,
        eventbus::JetStreamConfig,
        jetstream::{JetStreamSpec, NativeSpec},
    },
    bus::StreamSettings,
};

const DEFAULT_REPLICAS: i64 = 3;
/// More servers than a Raft group has use for.
const MOST_REPLICAS: i64 = 64;
const MAX_PAYLOAD: &str = "1MB";

/// What the manifest asks the controller to deploy.
pub enum Asked {
    /// `spec.jetstream`.
    JetStream(JetStreamSpec),
    /// `spec.nats.native`.
    Native(NativeSpec),
}

/// Checks it. Gives the deployment, how clients connect, and the settings of the stream.
pub fn check(
    bus: &ObjectKey,
    asked: Asked,
    defaults: &BusDefaults,
) -> Result<(Deployment, JetStreamConfig, StreamSettings), FieldError> {
    let names = Names {
        bus: bus.name.clone(),
    };
    let (at, spec, is_native) = match asked {
        Asked::JetStream(spec) => ("spec.jetstream", spec, false),
        Asked::Native(spec) => (
            "spec.nats.native",
            super::native::jetstream(spec, &names.labels()),
            true,
        ),
    };
    let error = |field: &str, message: String| FieldError::new(format!("{at}.{field}"), message);
    let replicas = spec.replicas.unwrap_or(DEFAULT_REPLICAS);
    if replicas == 2 || !(1..=MOST_REPLICAS).contains(&replicas) {
        let message = format!("must be 1, or 3 to {MOST_REPLICAS}: two servers have no majority");
        return Err(error("replicas", message));
    }
    let version = spec.version.as_deref().unwrap_or_default();
    let Some(version) = defaults.version(version) else {
        return Err(error(
            "version",
            format!(
                "{version:?} is not in the controller's configuration, which has {}",
                defaults.known_versions()
            ),
        ));
    };
    let max_payload = spec.max_payload.as_deref().unwrap_or(MAX_PAYLOAD);
    if !is_size(max_payload) {
        let message = format!("{max_payload:?} must be a size like 1MB or 65536");
        return Err(error("maxPayload", message));
    }
    let (text, stream) = stream_config(&spec, replicas, defaults)
        .map_err(|message| error("streamConfig", message))?;
    let raw = JetStreamConfig {
        url: Some(names.url(&bus.namespace)),
        access_secret: Some(client_key(&names, secrets::CLIENT_AUTH)),
        stream_config: Some(text),
        tls: Some(TlsConfig {
            ca_cert_secret: Some(client_key(&names, secrets::AUTHORITY)),
            ..TlsConfig::default()
        }),
    };
    let settings = spec.settings.as_ref().unwrap_or(&defaults.settings).clone();
    let deployment = Deployment {
        names,
        replicas: u16::try_from(replicas).unwrap_or(1),
        version: version.clone(),
        settings,
        max_payload: max_payload.to_owned(),
        is_native,
        spec,
    };
    Ok((deployment, raw, stream))
}

fn client_key(names: &Names, key: &str) -> KeySelector {
    KeySelector {
        name: names.client_secret(),
        key: key.to_owned(),
        optional: None,
    }
}

/// The controller's settings of the stream with those of the manifest over them, as text and checked.
fn stream_config(
    spec: &JetStreamSpec,
    replicas: i64,
    defaults: &BusDefaults,
) -> Result<(String, StreamSettings), String> {
    let mut merged = defaults.stream.clone();
    if let Some(copies) = merged.get("replicas").and_then(Value::as_i64) {
        // A default must not ask for more copies than there are servers.
        merged.insert("replicas".to_owned(), json!(min(copies, replicas)));
    }
    merged.extend(settings_of(
        spec.stream_config.as_deref().unwrap_or_default(),
    )?);
    let merged = Value::Object(merged);
    let settings = StreamSettings::parse(&merged)?;
    if i64::try_from(settings.replicas).unwrap_or(i64::MAX) > replicas {
        return Err(format!(
            "replicas: {} copies need as many servers, and spec.replicas is {replicas}",
            settings.replicas
        ));
    }
    Ok((yaml::to_string(&merged), settings))
}

/// Digits with a unit as nats-server reads it.
fn is_size(text: &str) -> bool {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_uppercase();
    let units = ["", "K", "KB", "KI", "KIB", "M", "MB", "MI", "MIB"];
    !digits.is_empty()
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && units.contains(&unit.as_str())
}
