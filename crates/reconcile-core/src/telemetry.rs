//! The log: one line per decision, as text for people or as JSON for collectors.

use std::str::FromStr;

use thiserror::Error;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object per line.
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.to_ascii_lowercase().as_str() {
            "text" | "" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("{other:?} is not a log format; use text or json")),
        }
    }
}

/// The log could not be set up.
#[derive(Debug, Error)]
#[error("log level {level:?}: {reason}")]
pub struct LogError {
    level: String,
    reason: String,
}

/// Starts logging to standard error. Upstream's level names `warning`, `fatal` and `panic` are understood.
pub fn init(level: &str, format: LogFormat) -> Result<(), LogError> {
    let own = match level.to_ascii_lowercase().as_str() {
        "" => "info".to_owned(),
        "warning" => "warn".to_owned(),
        "fatal" | "panic" => "error".to_owned(),
        other => other.to_owned(),
    };
    // Libraries speak of each request at info; that is noise unless asked for.
    let filter = EnvFilter::try_new(format!(
        "{own},hyper=warn,tower=warn,kube_client=warn,rustls=warn,async_nats=warn"
    ))
    .map_err(|error| LogError {
        level: level.to_owned(),
        reason: error.to_string(),
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let started = match format {
        LogFormat::Text => registry.with(layer.with_ansi(false)).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    started.map_err(|error| LogError {
        level: level.to_owned(),
        reason: error.to_string(),
    })
}
