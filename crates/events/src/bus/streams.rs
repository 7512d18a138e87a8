//! The streams: created where they are missing, changed where the manifest says so.

use std::time::Duration;

use async_nats::jetstream::{
    ErrorCode,
    context::{CreateStreamError, CreateStreamErrorKind, GetStreamErrorKind},
    stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream},
};

use super::{Bus, BusError, DEAD_LETTERS, STREAM, StreamSettings};

/// Consumers that the stream of events may have. Without a number of their own, NATS servers from 2.15 on stop at 1,000 for each
/// stream, and every dependency of a trigger has one.
const CONSUMERS: i32 = 100_000;
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
                    self.raise_consumers(&stream).await;
                }
                Ok(info.created.unix_timestamp_nanos())
            }
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(inner) if inner.code() == 404 => {
                    let name = config.name.clone();
                    let mut created = self.context.create_stream(config.clone()).await;
                    if created.as_ref().is_err_and(is_consumer_limit) {
                        // The account of the login has a limit of its own, which holds for its streams.
                        let plain = Config {
                            max_consumers: Config::default().max_consumers,
                            ..config
                        };
                        created = self.context.create_stream(plain).await;
                    }
                    let stream = created.map_err(|error| self.refused(what, &error))?;
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

impl Bus {
    /// Lets an existing stream have more consumers than the server's own limit. Servers without such a limit refuse the
    /// change, and are not asked for it.
    async fn raise_consumers(&self, stream: &Stream) {
        let is_raised = stream.cached_info().config.max_consumers > 0;
        if is_raised || !self.client.is_server_compatible(2, 15, 0) {
            return;
        }
        // Again, because the settings may have changed it.
        let Ok(current) = stream.get_info().await else {
            return;
        };
        let raised = Config {
            max_consumers: CONSUMERS,
            ..current.config
        };
        if let Err(error) = self.context.update_stream(&raised).await {
            let stream = raised.name;
            tracing::warn!(stream, %error, "the stream keeps the server's limit of consumers, one for each dependency of a trigger");
        }
    }
}

/// Whether the account permits fewer consumers than were asked for.
fn is_consumer_limit(error: &CreateStreamError) -> bool {
    matches!(error.kind(), CreateStreamErrorKind::JetStream(error)
        if error.error_code() == ErrorCode::MAXIMUM_CONSUMERS_LIMIT)
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
        max_consumers: CONSUMERS,
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
