//! Whether a cluster answers: asked for its version now and then, so that no pass waits for one that does not.
//!
//! ```text
//!   Connecting ──► Connected ◄──► Failed
//! ```

use std::{fmt, future::Future, time::Duration};

use kube::{Client, core::Status};
use reconcile_core::error::error_chain;
use thiserror::Error;
use tokio::{sync::watch, time::Instant};

use super::spec::{Access, ClusterSpec};

/// Longest time that a cluster may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Pause between two questions to a cluster that answers.
const PAUSE: Duration = Duration::from_secs(10);
/// First pause after a cluster did not answer.
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// Questions that stay without an answer before a cluster counts as unreachable; a refusal counts at once.
const SILENCES: u32 = 2;

/// Whether a cluster answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionState {
    /// It has not answered yet.
    Connecting,
    /// It answers.
    Connected {
        /// Version of Kubernetes, such as `v1.34.1`; empty when the server does not say.
        version: String,
    },
    /// It does not answer, or refuses the credentials.
    Failed {
        /// Why.
        message: String,
    },
}

impl ConnectionState {
    /// The version of Kubernetes, when it is known.
    pub fn version(&self) -> &str {
        match self {
            Self::Connected { version } => version,
            _ => "",
        }
    }
}

/// No work is done on a cluster now.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct Unreachable {
    /// URL of the cluster.
    pub server: String,
    /// Why; `None` while the first answer is waited for.
    pub reason: Option<String>,
    /// The server is that of the control plane, so a status that says so could not be written either.
    pub is_control_plane: bool,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Some(reason) => write!(
                f,
                "Failed to load live state: failed to get cluster info for {:?}: {reason}",
                self.server
            ),
            None => write!(f, "the cluster {:?} has not answered yet", self.server),
        }
    }
}

/// The state of a connection, as those see it who use it.
#[derive(Debug)]
pub struct ConnectionMonitor {
    server: String,
    is_control_plane: bool,
    state: watch::Receiver<ConnectionState>,
    task: tokio::task::AbortHandle,
}

impl Drop for ConnectionMonitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ConnectionMonitor {
    /// Asks the cluster from now on; `changed` is called when it answers, and when it stops.
    pub fn start(spec: &ClusterSpec, client: Client, changed: impl Fn() + Send + 'static) -> Self {
        let server = &*spec.destination.server;
        let (sender, state) = watch::channel(ConnectionState::Connecting);
        let is_control_plane = spec.access == Access::ControlPlane;
        let prober = Prober {
            server: server.to_owned(),
            is_control_plane,
            client,
            state: sender,
        };
        let task = tokio::spawn(async move { prober.run(changed).await }).abort_handle();
        Self {
            server: server.to_owned(),
            is_control_plane,
            state,
            task,
        }
    }

    /// The state now.
    pub fn state(&self) -> ConnectionState {
        self.state.borrow().clone()
    }

    /// An error unless the cluster answers.
    pub fn check(&self) -> Result<(), Unreachable> {
        match &*self.state.borrow() {
            ConnectionState::Connected { .. } => Ok(()),
            ConnectionState::Connecting => Err(self.unreachable(None)),
            ConnectionState::Failed { message } => Err(self.unreachable(Some(message))),
        }
    }

    fn unreachable(&self, reason: Option<&String>) -> Unreachable {
        Unreachable {
            server: self.server.clone(),
            reason: reason.cloned(),
            is_control_plane: self.is_control_plane,
        }
    }

    /// Does some work on the cluster, and ends it when the cluster stops answering.
    pub async fn guard<T, E: From<Unreachable>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.check()?;
        let mut state = self.state.clone();
        let failed = async {
            let failed = |state: &ConnectionState| matches!(state, ConnectionState::Failed { .. });
            if state.wait_for(failed).await.is_err() {
                // The cluster was closed; the work has its own deadlines.
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            done = work => done,
            () = failed => match self.check() {
                Err(error) => Err(error.into()),
                Ok(()) => Err(self.unreachable(None).into()),
            },
        }
    }
}

/// An answer to the question for the version.
enum Answer {
    Version(String),
    /// An error, or a refusal.
    Refused(String),
    /// None in time.
    Silence,
}

struct Prober {
    server: String,
    is_control_plane: bool,
    client: Client,
    state: watch::Sender<ConnectionState>,
}

impl Prober {
    async fn run(self, changed: impl Fn()) {
        let mut pause = FIRST_RETRY;
        let mut silences = 0;
        loop {
            let asked = Instant::now();
            match self.ask().await {
                Answer::Version(version) => {
                    (pause, silences) = (FIRST_RETRY, 0);
                    if self.answers(version) {
                        changed();
                    }
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                Answer::Refused(message) => self.fail(&message, &changed),
                Answer::Silence => {
                    silences += 1;
                    let is_connected =
                        matches!(*self.state.borrow(), ConnectionState::Connected { .. });
                    if silences >= SILENCES || !is_connected {
                        let message = format!("no answer within {} s", ANSWER.as_secs());
                        self.fail(&message, &changed);
                    }
                }
            }
            tokio::time::sleep_until(asked + pause).await;
            pause = (pause * 2).min(LONGEST_RETRY);
        }
    }

    async fn ask(&self) -> Answer {
        match tokio::time::timeout(ANSWER, self.client.apiserver_version()).await {
            Err(_) => Answer::Silence,
            Ok(Ok(version)) => Answer::Version(version.git_version),
            Ok(Err(kube::Error::Api(status))) if !is_refusal(&status) => {
                // It answers, and does not want to say its version.
                Answer::Version(String::new())
            }
            Ok(Err(error)) => Answer::Refused(error_chain(&error)),
        }
    }

    /// The cluster answers; true when it did not before.
    fn answers(&self, version: String) -> bool {
        let old = self
            .state
            .send_replace(ConnectionState::Connected { version });
        if matches!(old, ConnectionState::Failed { .. }) {
            tracing::info!(cluster = self.server, "cluster answers again");
        }
        !matches!(old, ConnectionState::Connected { .. })
    }

    fn fail(&self, message: &str, changed: &impl Fn()) {
        let failed = ConnectionState::Failed {
            message: message.to_owned(),
        };
        let old = self.state.send_replace(failed.clone());
        if old != failed {
            tracing::warn!(
                cluster = self.server,
                error = message,
                "cluster does not answer"
            );
        }
        // The Applications say so, unless nothing can be written.
        if !matches!(old, ConnectionState::Failed { .. }) && !self.is_control_plane {
            changed();
        }
    }
}

fn is_refusal(status: &Status) -> bool {
    status.code == 401 || status.code >= 500
}
