//! The streams: created where they are missing, changed where the manifest says so.

use std::time::Duration;

use async_nats::jetstream::{
    context::GetStreamErrorKind,
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType},
};

use super::{Bus, BusError, DEAD_LETTERS, STREAM, StreamSettings};

/// Dead letters are kept for a week.
const DEAD_LETTER_AGE: Duration = Duration::from_secs(7 * 24 * 3600);

impl Bus {
    /// Creates the streams where they are missing, and changes that of events where `streamConfig` differs.
    /// Returns the identity of the stream of events.
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
            Ok(stream) => {
                let info = stream.cached_info();
                if info.config.name == STREAM {
                    self.follow_settings(&info.config).await;
                }
                Ok(info.created.unix_timestamp_nanos())
            }
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(inner) if inner.code() == 404 => {
                    let name = config.name.clone();
                    let stream = self
                        .context
                        .create_stream(config)
                        .await
                        .map_err(|error| self.refused(what, &error))?;
                    tracing::info!(stream = name, "stream created");
                    Ok(stream.cached_info().created.unix_timestamp_nanos())
                }
                _ => Err(self.refused(what, &error)),
            },
        }
    }
}

impl Bus {
    /// Changes an existing stream where the manifest says otherwise. What the server refuses is
    /// reported in the status, and the stream is used as it is.
    async fn follow_settings(&self, current: &Config) {
        let wanted = changed(current, &self.config.stream);
        let Some(wanted) = wanted else {
            self.set_settings_problem(None);
            return;
        };
        match self.context.update_stream(&wanted).await {
            Ok(_) => {
                tracing::info!(stream = wanted.name, "stream changed as streamConfig says");
                self.set_settings_problem(None);
            }
            Err(error) => self.set_settings_problem(Some(format!(
                "streamConfig has no effect on the existing stream {}: {error}",
                wanted.name
            ))),
        }
    }
}

/// The stream with the settings that the manifest gives; `None` when it has them already.
fn changed(current: &Config, settings: &StreamSettings) -> Option<Config> {
    let wanted = stream_config(settings);
    let given = |key: &str| settings.given.contains(key);
    let mut next = current.clone();
    if given("maxmsgs") {
        next.max_messages = wanted.max_messages;
    }
    if given("maxbytes") {
        next.max_bytes = wanted.max_bytes;
    }
    if given("maxage") {
        next.max_age = wanted.max_age;
    }
    if given("duplicates") {
        next.duplicate_window = wanted.duplicate_window;
    }
    if given("replicas") {
        next.num_replicas = wanted.num_replicas;
    }
    if given("discard") {
        next.discard = wanted.discard;
    }
    if given("retention") {
        next.retention = wanted.retention;
    }
    (next != *current).then_some(next)
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
