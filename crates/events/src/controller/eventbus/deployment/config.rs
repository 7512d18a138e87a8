//! The controller's configuration file: which versions of NATS there are, and defaults of buses.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::bus::StreamSettings;

/// Images of one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Version {
    /// Its name in `spec.jetstream.version`.
    pub version: String,
    /// Image of nats-server.
    pub nats_image: String,
    /// Image of the exporter of metrics.
    pub metrics_exporter_image: String,
    /// Image of the program that has the server read a changed configuration.
    pub config_reloader_image: String,
    /// Path of nats-server in its image.
    pub start_command: String,
}

impl Version {
    fn is_complete(&self) -> bool {
        let fields = [
            &self.version,
            &self.nats_image,
            &self.metrics_exporter_image,
            &self.config_reloader_image,
            &self.start_command,
        ];
        fields.iter().all(|text| !text.is_empty())
    }
}

/// Defaults of buses that the controller deploys.
#[derive(Clone, Debug, PartialEq)]
pub struct BusDefaults {
    /// Lines inside `jetstream {}` of the server's configuration.
    pub settings: String,
    /// Settings of the stream, by their names in lower case.
    pub stream: Map<String, Value>,
    /// The versions, in the order of the file.
    pub versions: Vec<Version>,
}

/// The file cannot be used.
#[derive(Debug, Error)]
#[error("{path}: {reason}")]
pub struct ConfigError {
    path: String,
    reason: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    event_bus: FileBus,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FileBus {
    jetstream: FileJetStream,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FileJetStream {
    settings: Option<String>,
    stream_config: Option<String>,
    versions: Option<Vec<Version>>,
}

impl Default for BusDefaults {
    /// Those of the chart, for a controller without a file.
    fn default() -> Self {
        let image = |tag: &str, name: &str| Version {
            version: name.to_owned(),
            nats_image: format!("nats:{tag}"),
            metrics_exporter_image: "natsio/prometheus-nats-exporter:0.14.0".to_owned(),
            config_reloader_image: "natsio/nats-server-config-reloader:0.14.0".to_owned(),
            start_command: "/nats-server".to_owned(),
        };
        let stream = json!({
            "maxmsgs": 1_000_000, "maxage": "72h", "maxbytes": "1GB", "replicas": 3,
            "duplicates": "300s", "retention": 0, "discard": 0,
        });
        Self {
            settings: "max_memory_store: -1\nmax_file_store: -1\n".to_owned(),
            stream: stream.as_object().cloned().unwrap_or_default(),
            versions: vec![image("2.10.29", "latest"), image("2.10.29", "2.10.29")],
        }
    }
}

impl BusDefaults {
    /// The defaults with one more version: which versions a controller has is not in a manifest.
    pub fn with_version(name: &str) -> Self {
        let mut defaults = Self::default();
        if !name.is_empty() && defaults.version(name).is_none() {
            defaults.versions.push(Version {
                version: name.to_owned(),
                ..Version::default()
            });
        }
        defaults
    }

    /// Reads the file; the defaults when there is none.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |reason: String| ConfigError {
            path: path.display().to_string(),
            reason,
        };
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(failed),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Reads the text of the file. What it leaves out is as in the chart.
    pub fn parse(text: &str) -> Result<Self, String> {
        let value = reconcile_core::yaml::value(text).map_err(|error| error.to_string())?;
        let file = if value.is_null() {
            File::default()
        } else {
            File::deserialize(value).map_err(|error| error.to_string())?
        };
        let given = file.event_bus.jetstream;
        let mut defaults = Self::default();
        if let Some(settings) = given.settings {
            defaults.settings = settings;
        }
        if let Some(text) = given.stream_config {
            defaults.stream = settings_of(&text)
                .map_err(|reason| format!("eventBus.jetstream.streamConfig: {reason}"))?;
        }
        if let Some(versions) = given.versions {
            if let Some(version) = versions.iter().find(|version| !version.is_complete()) {
                return Err(format!(
                    "eventBus.jetstream.versions: {:?} needs version, natsImage, metricsExporterImage, configReloaderImage and startCommand",
                    version.version
                ));
            }
            defaults.versions = versions;
        }
        Ok(defaults)
    }

    /// The version of this name.
    pub fn version(&self, name: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.version == name)
    }

    /// The names of the versions, for an error.
    pub fn known_versions(&self) -> String {
        let names: Vec<&str> = self
            .versions
            .iter()
            .map(|version| version.version.as_str())
            .collect();
        names.join(", ")
    }
}

/// `streamConfig` as a map with keys in lower case; its values are checked.
pub fn settings_of(text: &str) -> Result<Map<String, Value>, String> {
    let value = reconcile_core::yaml::value(text).map_err(|error| error.to_string())?;
    StreamSettings::parse(&value)?;
    let members = value.as_object().cloned().unwrap_or_default();
    let members = members.into_iter();
    Ok(members
        .map(|(key, value)| (key.to_lowercase(), value))
        .collect())
}
