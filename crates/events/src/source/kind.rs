//! What a kind of event source is that a task brings in: it subscribes, polls or keeps time.
//!
//! A new one is a file with a [`Source`] and a [`SourceKind`], its line in `registry::ALL`, and its rows in
//! `api/source_fields.rs`; `docs/style.md` has all steps. Webhooks are no such kind: requests come in by the shared listeners.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::future::BoxFuture;
use reconcile_core::{egress::EgressPolicy, object::FieldError, secret::Secret};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use thiserror::Error;

use super::{
    EmitError, Emitted, Emitter, EventFilter, backlog::Backlog, checkpoint::Checkpoint, emitter,
    files::WatchedFolders, reconnect::Reconnect, registered::Registered,
    service_context::ServiceContext,
};
use crate::{
    api::{KeySelector, decode, eventsource::SourceFilter, trigger::Backoff},
    aws::AwsSigners,
    bus::BusError,
    nats::NatsError,
    tls::TlsError,
    trigger::identity::Identities,
};

/// Pause after the bus did not take an event.
const PAUSE: Duration = Duration::from_secs(1);

/// A kind of event source.
#[derive(Debug)]
pub struct SourceKind {
    /// The key below `spec`.
    pub key: &'static str,
    /// Checks one event.
    pub check: fn(&Input<'_>) -> Result<Arc<dyn Source>, FieldError>,
}

impl SourceKind {
    /// The `type` of its events, which upstream writes in lower case for one of them.
    fn event_type(&self) -> &'static str {
        match self.key {
            "pubSub" => "pubsub",
            key => key,
        }
    }
}

/// One event as the manifest gives it.
pub struct Input<'i> {
    /// For example `spec.nats.orders`.
    pub path: &'i str,
    /// What is there.
    pub value: &'i Value,
}

impl Input<'_> {
    /// The value in its typed form.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, FieldError> {
        decode(self.path, self.value)
    }

    /// A field of it is wrong.
    pub fn wrong(&self, field: &str, message: impl Into<String>) -> FieldError {
        FieldError::new(format!("{}.{field}", self.path), message)
    }
}

/// Brings the events of one entry in. Runs on one replica at a time.
pub trait Source: fmt::Debug + Send + Sync {
    /// The Secrets that it needs, by field. Their values are in the same order in [`SourceContext::secrets`].
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        Vec::new()
    }

    /// What it has registered at its service; `None` for one that leaves nothing there.
    fn registered(&self) -> Option<&dyn Registered> {
        None
    }

    /// Runs until it is dropped. After an error or an end it is run again, with a pause.
    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>>;
}

/// Why a source does not run.
#[derive(Debug, Error)]
pub enum SourceError {
    /// The bus did not do what was needed.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// No connection to the server.
    #[error(transparent)]
    Nats(#[from] NatsError),
    /// The certificates cannot be used.
    #[error("tls.{0}")]
    Tls(#[from] TlsError),
    /// The server is not reachable, or refuses.
    #[error("{server}: {reason}")]
    Server {
        /// Where it is, without credentials.
        server: String,
        /// What is wrong.
        reason: String,
    },
    /// A bug of this program.
    #[error("the source panicked, which is a bug: {0}")]
    Panicked(String),
}

/// What all kinds have in common.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Common {
    connection_backoff: Option<Backoff>,
    metadata: Option<BTreeMap<String, String>>,
    filter: Option<SourceFilter>,
}

/// One event of an EventSource that a task brings in. Equal ones need no restart.
#[derive(Clone)]
pub struct TaskEvent {
    /// Name of the event.
    pub event: String,
    /// Its kind.
    pub kind: &'static SourceKind,
    /// As checked.
    pub source: Arc<dyn Source>,
    /// Values of what [`Source::secrets`] names.
    pub secrets: Vec<Secret>,
    /// The service account that it acts as.
    pub account: String,
    /// How long it waits before it connects again.
    pub reconnect: Reconnect,
    /// As the manifest gives it.
    pub config: Value,
    metadata: BTreeMap<String, String>,
    filter: Option<EventFilter>,
}

impl fmt::Debug for TaskEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.kind.key, self.event)
    }
}

impl PartialEq for TaskEvent {
    fn eq(&self, other: &Self) -> bool {
        // Everything else is made of these.
        self.event == other.event
            && self.kind.key == other.kind.key
            && self.config == other.config
            && self.secrets == other.secrets
            && self.account == other.account
    }
}

impl TaskEvent {
    /// Checks the event `event` of a kind; its secrets are not read yet.
    pub fn check(
        kind: &'static SourceKind,
        event: &str,
        config: &Value,
    ) -> Result<Self, FieldError> {
        let path = format!("spec.{}.{event}", kind.key);
        let common: Common = decode(&path, config)?;
        let filter = common.filter.unwrap_or_default();
        let input = Input {
            path: &path,
            value: config,
        };
        Ok(Self {
            event: event.to_owned(),
            kind,
            source: (kind.check)(&input)?,
            secrets: Vec::new(),
            account: "default".to_owned(),
            reconnect: Reconnect::check(
                &format!("{path}.connectionBackoff"),
                common.connection_backoff.as_ref(),
            )?,
            config: config.clone(),
            metadata: common.metadata.unwrap_or_default(),
            filter: EventFilter::parse(&filter.expression)
                .map_err(|error| input.wrong("filter.expression", error.to_string()))?,
        })
    }

    /// What its task needs beside it.
    pub fn context(
        &self,
        uid: &str,
        emitter: Arc<Emitter>,
        limits: &SourceLimits,
    ) -> SourceContext {
        SourceContext {
            identities: limits.identities.clone(),
            connected: AtomicBool::new(false),
            folders: limits.folders.clone(),
            service: ServiceContext::new(self, (&emitter.key, uid), emitter.clock.clone(), limits),
            emitter,
        }
    }
}

/// What sources may do, in one process.
#[derive(Clone)]
pub struct SourceLimits {
    /// Gives clients of the API server, by service account.
    pub identities: Identities,
    /// Which addresses they may call.
    pub egress: EgressPolicy,
    /// Which folders of this machine they may watch.
    pub folders: WatchedFolders,
    /// What they may hold of messages that wait for the bus.
    pub backlog: Backlog,
    /// Signers of requests to AWS.
    pub signers: AwsSigners,
}

#[cfg(test)]
impl SourceLimits {
    pub(crate) fn of_tests(executor: &crate::trigger::Executor) -> Self {
        Self {
            identities: executor.identities.clone(),
            egress: EgressPolicy::of_flag("--allow-link-local", false),
            folders: WatchedFolders::default(),
            backlog: Backlog::default(),
            signers: executor.signers.clone(),
        }
    }
}

/// What the task of a source works with.
pub struct SourceContext {
    /// Publishes.
    pub emitter: Arc<Emitter>,
    /// Which folders of this machine it may watch.
    pub folders: WatchedFolders,
    identities: Identities,
    connected: AtomicBool,
    service: ServiceContext,
}

impl Deref for SourceContext {
    type Target = ServiceContext;

    fn deref(&self) -> &ServiceContext {
        &self.service
    }
}

impl SourceContext {
    /// Metadata of the entry. Each source puts it into its payload as `metadata`; `emit` does not.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.task.metadata
    }

    /// Most bytes that a message on the bus may have.
    pub fn largest_message(&self) -> usize {
        self.emitter.bus.largest_message()
    }

    /// Counts a message of so many bytes, for which the bus has no room.
    pub fn too_large(&self, size: usize) {
        self.refused();
        let limit = self.largest_message();
        tracing::warn!(eventsource = %self.emitter.key, event = self.event(), size, limit, "message dropped: it is larger than a message of the bus may be");
    }

    /// As [`Self::emit`], and tries again until the bus has stored the event, or it cannot be stored.
    pub async fn emit_for_sure(&self, id: String, payload: &impl Serialize) {
        while let Err(EmitError::Bus(_)) = self.emit(id.clone(), payload).await {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Publishes an event unless its filter refuses it; returns when the bus has stored it. Two with the
    /// same `id` are one.
    pub async fn emit(&self, id: String, payload: &impl Serialize) -> Result<Emitted, EmitError> {
        let payload = emitter::payload(payload);
        let (event, kind) = (&self.task.event, self.task.kind.event_type());
        self.emitter
            .emit(event, kind, id, payload, self.task.filter.as_ref())
            .await
    }

    /// Counts an input that cannot become an event.
    pub fn refused(&self) {
        self.emitter.refused(&self.task.event);
    }

    /// A client of the API server that acts as the service account of the EventSource. Its token lives for minutes.
    pub async fn client(&self) -> Result<kube::Client, SourceError> {
        let (namespace, account) = (&self.emitter.key.namespace, &self.task.account);
        let client = self.identities.client(namespace, account).await;
        client.map_err(|error| SourceError::Server {
            server: "API server".to_owned(),
            reason: error.to_string(),
        })
    }

    /// Forgets the token of the service account, which was refused.
    pub async fn forget_client(&self) {
        let (namespace, account) = (&self.emitter.key.namespace, &self.task.account);
        self.identities.forget(namespace, account).await;
    }

    /// What the source remembers on the bus.
    pub async fn checkpoint(&self) -> Result<Checkpoint, BusError> {
        Checkpoint::open(&self.emitter.bus, &self.emitter.key, &self.task.event).await
    }

    /// How long the source waits before it connects again.
    pub fn reconnect(&self) -> Reconnect {
        self.task.reconnect
    }

    /// Whether events arrived since this was asked the last time.
    pub fn was_connected(&self) -> bool {
        self.connected.swap(false, Ordering::Relaxed)
    }

    /// Reports why events do not arrive; `None` when they do.
    pub fn report(&self, problem: Option<String>) {
        if problem.is_none() {
            self.connected.store(true, Ordering::Relaxed);
        }
        let problem = problem.map(|problem| self.redact(problem));
        (self.emitter.report)(&self.task.event, problem);
    }
}
