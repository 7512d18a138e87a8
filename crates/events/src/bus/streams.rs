//! The streams: made where they are missing, never changed.

use std::time::Duration;

use async_nats::jetstream::{
    context::GetStreamErrorKind,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};

use super::{Bus, BusError, DEAD_LETTERS, STREAM, StreamSettings, error::request};

/// Dead letters are kept for a week.
const DEAD_LETTER_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

impl Bus {
    /// Makes the streams where they are missing; never changes an existing one. Gives the identity of
    /// the stream of events.
    pub(super) async fn set_up(&self) -> Result<i128, BusError> {
        let created = self
            .ensure_stream(stream_config(&self.config.stream))
            .await?;
        self.ensure_stream(dead_letter_config(&self.config.stream))
            .await?;
        Ok(created)
    }

    async fn ensure_stream(&self, config: Config) -> Result<i128, BusError> {
        let what = format!("stream {}", config.name);
        match self.context.get_stream(&config.name).await {
            Ok(stream) => Ok(stream.cached_info().created.unix_timestamp_nanos()),
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(inner) if inner.code() == 404 => {
                    let name = config.name.clone();
                    let stream = self
                        .context
                        .create_stream(config)
                        .await
                        .map_err(|error| request(what)(&error))?;
                    tracing::info!(stream = name, "stream created");
                    Ok(stream.cached_info().created.unix_timestamp_nanos())
                }
                _ => Err(request(what)(&error)),
            },
        }
    }
}

fn stream_config(settings: &StreamSettings) -> Config {
    Config {
        name: STREAM.to_owned(),
        subjects: vec![format!("{STREAM}.*.*")],
        storage: StorageType::File,
        max_messages: settings.max_msgs,
        max_bytes: settings.max_bytes,
        max_age: nanos(settings.max_age),
        num_replicas: settings.replicas,
        duplicate_window: nanos(settings.duplicates),
        retention: match settings.retention {
            1 => RetentionPolicy::Interest,
            2 => RetentionPolicy::WorkQueue,
            _ => RetentionPolicy::Limits,
        },
        discard: if settings.discard == 1 {
            DiscardPolicy::New
        } else {
            DiscardPolicy::Old
        },
        ..Config::default()
    }
}

fn dead_letter_config(settings: &StreamSettings) -> Config {
    Config {
        name: DEAD_LETTERS.to_owned(),
        subjects: vec![format!("{DEAD_LETTERS}.>")],
        storage: StorageType::File,
        max_age: DEAD_LETTER_AGE,
        num_replicas: settings.replicas,
        duplicate_window: nanos(settings.duplicates),
        description: Some("events whose triggers spent their tries".to_owned()),
        ..Config::default()
    }
}

fn nanos(span: i64) -> Duration {
    Duration::from_nanos(u64::try_from(span).unwrap_or(0))
}
