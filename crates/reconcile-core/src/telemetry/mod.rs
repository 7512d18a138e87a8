//! The log: one line per decision, as text for people or as JSON for collectors.

mod line;

use std::str::FromStr;

use thiserror::Error;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::clock::Clock;
use line::Lines;

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// `key=value` pairs for people.
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

/// Starts logging to standard error. Upstream's level names `warning`, `fatal` and `panic` are understood, and so are
/// the directives of `tracing`, such as `info,kube_client=debug`.
pub fn init(level: &str, format: LogFormat) -> Result<(), LogError> {
    let failed = |reason: String| LogError {
        level: level.to_owned(),
        reason,
    };
    let filter = filter(level).map_err(failed)?;
    let layer = fmt::layer()
        .with_writer(std::io::stderr)
        .event_format(Lines::new(format, Clock::system()));
    tracing_subscriber::registry()
        .with(filter)
        .with(layer)
        .try_init()
        .map_err(|error| failed(error.to_string()))?;
    // A panic is a line of the log as any other; the default prints several lines beside it.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    Ok(())
}

fn filter(level: &str) -> Result<EnvFilter, String> {
    let own = match level.to_ascii_lowercase().as_str() {
        "" => "info".to_owned(),
        "warning" => "warn".to_owned(),
        "fatal" | "panic" => "error".to_owned(),
        other => other.to_owned(),
    };
    let directives = own.contains(['=', ',']);
    // A word that is no level would be taken for the name of a module, and nothing would be logged at all.
    if !directives && own.parse::<LevelFilter>().is_err() {
        return Err("use trace, debug, info, warning or error".to_owned());
    }
    // Libraries log each request at info; that is noise unless asked for. The caller logs what fails,
    // so the client and its watcher need not log it too.
    let quiet = "hyper=warn,tower=warn,rustls=warn,async_nats=warn,kube_client=warn,\
                 kube_client::client::builder=off,kube_runtime::watcher=off";
    let all = if directives {
        format!("{quiet},{own}")
    } else {
        format!("{own},{quiet}")
    };
    EnvFilter::try_new(all).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
