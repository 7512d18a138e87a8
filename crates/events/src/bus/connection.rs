//! One connection to a JetStream, and whether it can be used.

use std::{fmt::Display, sync::Arc, time::Duration};

use async_nats::{Event, jetstream};
use parking_lot::Mutex;
use reconcile_core::redaction::Redactor;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    BusConfig, BusError, error,
    options::{REQUEST_DEADLINE, options},
    probe::Probe,
};
use crate::nats_client::GuardedClient;

/// Pause between tries to connect; the server is usually next door.
const RECONNECT: Duration = Duration::from_millis(500);
/// Messages that may wait for their acknowledgement by the server; more would only use memory.
const MAX_IN_FLIGHT: usize = 4096;
/// How often the streams are checked, so that a deleted one comes back without a publish.
const CHECK: Duration = Duration::from_secs(30);
/// Pause after the streams could not be made.
const SETUP_PAUSE: Duration = Duration::from_secs(2);
/// News of the connection that may wait; only the last one matters.
const HEARD: usize = 64;

/// Whether the bus can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BusState {
    /// Not connected, and why.
    Away(String),
    /// Connected, streams present.
    Ready {
        /// When the stream of events was created, ns since the epoch: sequence numbers of another stream
        /// mean nothing.
        stream: i128,
    },
}

/// A connection that is kept until [`Bus::close`].
pub struct Bus {
    /// The settings.
    pub config: BusConfig,
    pub(super) client: GuardedClient,
    pub(crate) context: jetstream::Context,
    state: watch::Sender<BusState>,
    pub(super) redactor: Redactor,
    /// What the server refused of `streamConfig`.
    settings_problem: Mutex<Option<String>>,
    check: Notify,
    stop: CancellationToken,
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl Bus {
    /// Starts to connect and returns at once; `changed` is called whenever the state changes.
    pub async fn start(
        name: &str,
        config: BusConfig,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Arc<Self>, BusError> {
        let (events, mut incoming) = tokio::sync::mpsc::channel(HEARD);
        let options = options(name, &config)?
            .retry_on_initial_connect()
            .reconnect_delay_callback(|_| RECONNECT)
            .event_callback(move |event| {
                drop(events.try_send(event));
                async {}
            });
        let redactor = config.auth.redactor();
        let client = options
            .connect(config.urls.clone())
            .await
            .map_err(|error| BusError::Connect(redactor.redact(error.to_string())))?;
        let context = jetstream::context::ContextBuilder::new()
            .timeout(REQUEST_DEADLINE)
            .ack_timeout(REQUEST_DEADLINE)
            .max_ack_inflight(MAX_IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let (state, _) = watch::channel(BusState::Away("connecting".into()));
        let bus = Arc::new(Self {
            redactor,
            config,
            client: GuardedClient::new(client),
            context,
            state,
            settings_problem: Mutex::default(),
            check: Notify::new(),
            stop: CancellationToken::new(),
        });
        let reason = Arc::new(Mutex::new(String::new()));
        let mut probe = Probe::default();
        tokio::spawn({
            let (bus, reason) = (Arc::downgrade(&bus), reason.clone());
            async move {
                while let Some(event) = incoming.recv().await {
                    let Some(bus) = bus.upgrade() else { return };
                    bus.heard(&event, &reason);
                }
            }
        });
        tokio::spawn({
            let bus = bus.clone();
            async move {
                tokio::select! {
                    () = bus.stop.cancelled() => {}
                    () = bus.keep(&reason, &mut probe, &changed) => {}
                }
            }
        });
        Ok(bus)
    }

    fn heard(&self, event: &Event, reason: &Mutex<String>) {
        match event {
            Event::ServerError(error) => *reason.lock() = error.to_string(),
            Event::ClientError(error) => *reason.lock() = error.to_string(),
            Event::SlowConsumer(subscription) => {
                tracing::warn!(subscription, "a consumer does not keep up");
            }
            _ => {}
        }
        self.check.notify_one();
    }

    /// Follows the connection and keeps the streams in place.
    async fn keep(
        self: &Arc<Self>,
        reason: &Mutex<String>,
        probe: &mut Probe,
        changed: &(impl Fn() + Send + Sync),
    ) {
        loop {
            let connected = matches!(
                self.client.connection_state(),
                async_nats::connection::State::Connected
            );
            let (next, pause) = if connected {
                probe.connected();
                match self.set_up().await {
                    Ok(stream) => (BusState::Ready { stream }, CHECK),
                    Err(error) => (BusState::Away(self.redact(error.to_string())), SETUP_PAUSE),
                }
            } else {
                let reported = reason.lock().clone();
                let found = {
                    let bus = Arc::downgrade(self);
                    move || {
                        if let Some(bus) = bus.upgrade() {
                            bus.check();
                        }
                    }
                };
                let why = [probe.ask(&self.config, found), reported]
                    .into_iter()
                    .find(|why| !why.is_empty());
                let why = why.unwrap_or_else(|| "not connected".to_owned());
                (BusState::Away(self.redact(why)), RECONNECT)
            };
            let differs = self.state.send_if_modified(|state| {
                let differs = *state != next;
                *state = next.clone();
                differs
            });
            if differs {
                match &next {
                    BusState::Ready { .. } => tracing::info!(urls = ?self.config.urls, "bus ready"),
                    BusState::Away(why) => {
                        tracing::warn!(urls = ?self.config.urls, why, "bus not connected");
                    }
                }
                changed();
            }
            tokio::select! {
                () = self.check.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// What the server refused of `streamConfig`, if it did.
    pub fn settings_problem(&self) -> Option<String> {
        self.settings_problem.lock().clone()
    }

    /// What the server answered to a request, without the credentials, which it may repeat.
    pub(super) fn refused(&self, what: impl Into<String>, error: &dyn Display) -> BusError {
        error::refused(&self.redactor, what, error)
    }

    /// A text of the server without the credentials, which it may repeat.
    pub fn redact(&self, text: String) -> String {
        self.redactor.redact(text)
    }

    pub(super) fn set_settings_problem(&self, problem: Option<String>) {
        *self.settings_problem.lock() = problem.map(|problem| self.redact(problem));
    }

    /// Looks at the streams now, because something suggests that one is missing.
    pub fn check(&self) {
        self.check.notify_one();
    }

    /// The state, with changes.
    pub fn state(&self) -> watch::Receiver<BusState> {
        self.state.subscribe()
    }

    /// Waits until the bus can be used; gives the identity of the stream.
    pub async fn ready(&self) -> i128 {
        let mut state = self.state.subscribe();
        loop {
            if let BusState::Ready { stream } = *state.borrow_and_update() {
                return stream;
            }
            if state.changed().await.is_err() {
                // The sender lives as long as `self`.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Sends what is buffered, for example acknowledgements, within a deadline.
    pub async fn flush(&self) {
        if tokio::time::timeout(REQUEST_DEADLINE, self.client.flush())
            .await
            .is_err()
        {
            tracing::debug!("the bus did not take the last messages in time");
        }
    }

    /// Ends the connection.
    pub async fn close(&self) {
        self.stop.cancel();
        if let Err(error) = self.client.drain().await {
            tracing::debug!(%error, "draining the bus connection");
        }
    }
}
