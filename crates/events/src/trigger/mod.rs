//! Triggers: what is done when the condition of a sensor holds.

pub mod argo_workflow;
pub mod aws_lambda;
pub mod azure_event_hubs;
mod azure_send;
pub mod azure_service_bus;
mod custom;
pub mod email;
pub mod http;
pub mod identity;
pub mod k8s;
mod kafka;
pub mod kind;
mod log;
mod nats;
pub mod open_whisk;
mod pulsar;
pub mod registry;
pub mod secrets;
pub mod slack;
mod smtp;
#[cfg(test)]
pub(crate) mod stage;
mod success;
mod task;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use reconcile_core::{
    client::Fence,
    clock::Clock,
    credentials::redact_urls,
    egress::EgressPolicy,
    object::{FieldError, ObjectKey},
    operator::Operator,
};
use serde_json::Value;
use thiserror::Error;

#[cfg(feature = "git")]
use self::k8s::source::GitReader;
use self::{identity::Identities, registry::decode_patched, secrets::Secrets, slack::SlackThreads};
pub use self::{
    kind::{Action, Done, Run, Trigger},
    nats::NatsClients,
    pulsar::PulsarProducers,
    registry::decode_template,
    success::{LabelPolicy, SuccessPolicy},
    task::Task,
};
use crate::{
    args,
    aws::{AwsSigners, SigningError},
    http_client::{ALLOW_LINK_LOCAL, HttpClients},
    panics,
    sensor::parameter::{self, Events, Inputs, ParameterError},
};

/// One decided firing.
#[derive(Clone, Debug)]
pub struct Firing {
    /// The same for every try of the same set of events, also after a crash.
    pub id: String,
    /// The Sensor.
    pub sensor: ObjectKey,
    /// Name of the trigger.
    pub trigger: String,
    /// Service account to act as.
    pub service_account: String,
    /// The events, by dependency.
    pub events: Events,
    /// When the action begins.
    pub now: Timestamp,
}

impl Firing {
    /// What parameters take their values from.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            events: &self.events,
            now: self.now,
        }
    }
}

/// An action that failed.
#[derive(Debug, Error)]
pub enum TriggerError {
    /// A parameter has no value.
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    /// The template is not valid after its parameters were applied.
    #[error(transparent)]
    Template(#[from] FieldError),
    /// A Secret or ConfigMap cannot be read.
    #[error(transparent)]
    Secret(#[from] secrets::SecretError),
    /// Another process leads: nothing was done, and nothing may be.
    #[error("not the leader")]
    NotLeading,
    /// The API server refused or did not answer.
    #[error("{what}: {}", words(.error))]
    Api {
        /// What was tried.
        what: String,
        /// Its answer.
        error: Box<kube::Error>,
    },
    /// A bug of this program.
    #[error("the action panicked, which is a bug: {0}")]
    Panicked(String),
    /// The action was refused or did not reach its target.
    #[error("{0}")]
    Failed(String),
}

impl From<SigningError> for TriggerError {
    fn from(error: SigningError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl TriggerError {
    fn api(what: impl Into<String>, error: kube::Error) -> Self {
        Self::Api {
            what: what.into(),
            error: Box::new(error),
        }
    }

    /// Without the Secrets that the action has read, which a target may repeat, and without credentials in URLs.
    fn redacted(self, secrets: &Secrets) -> Self {
        let text = self.to_string();
        let clean = clean(secrets, text.clone());
        if clean == text || matches!(self, Self::NotLeading) {
            return self;
        }
        Self::Failed(clean)
    }

    /// The HTTP status of the API server's refusal.
    fn status(&self) -> Option<u16> {
        match self {
            Self::Api { error, .. } => match error.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            _ => None,
        }
    }
}

/// A text without the Secrets that the action has read, and without credentials in URLs.
fn clean(secrets: &Secrets, text: String) -> String {
    redact_urls(&secrets.redact(text))
}

fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.reason),
        other => other.to_string(),
    }
}

/// A panic of an action is a failed try: it is retried, and dead-lettered, as any other.
async fn caught(
    action: impl Future<Output = Result<Done, TriggerError>>,
) -> Result<Done, TriggerError> {
    let outcome = panics::caught(action).await;
    outcome.unwrap_or_else(|panic| Err(TriggerError::Panicked(panic)))
}

/// Carries out actions. Cloning shares connections and caches.
#[derive(Clone)]
pub struct Executor {
    /// HTTP connections.
    pub http: HttpClients,
    /// Connections to NATS servers.
    pub nats: NatsClients,
    /// Producers of Pulsar.
    pub pulsar: PulsarProducers,
    /// Threads of Slack messages.
    pub slack: SlackThreads,
    /// Clients that act as service accounts.
    pub identities: Identities,
    /// Secrets and ConfigMaps.
    pub secrets: Secrets,
    /// Closed when another process leads.
    pub fence: Fence,
    /// The clock.
    pub clock: Clock,
    /// Signers of requests to AWS.
    pub signers: AwsSigners,
    /// Reads Git repositories.
    #[cfg(feature = "git")]
    pub(crate) git: GitReader,
}

/// The action of a firing: the template with its parameters applied.
fn resolve(task: &Task, firing: &Firing) -> Result<Arc<dyn Action>, TriggerError> {
    if task.parameters.is_empty() {
        return Ok(task.action.clone());
    }
    let template = parameter::apply(task.template.clone(), &task.parameters, firing.inputs())?;
    Ok(decode_patched("template", &template, task.action.as_ref())?)
}

/// What a trigger would do: the request or object of a firing, with all parameters applied.
pub fn preview(task: &Task, firing: &Firing) -> Result<Value, TriggerError> {
    resolve(task, firing)?.preview(firing)
}

/// No action may take longer: every call inside has a deadline of its own.
const ACTION_DEADLINE: Duration = Duration::from_secs(600);

impl Executor {
    /// Acts with the connection of this process, and reads with `secrets`.
    pub fn new(operator: &Operator, secrets: Secrets) -> Self {
        let fence = operator.fence().clone();
        Self {
            http: HttpClients::default(),
            nats: NatsClients::new(EgressPolicy::of_flag(ALLOW_LINK_LOCAL, false)),
            pulsar: PulsarProducers::default(),
            slack: SlackThreads::default(),
            identities: Identities::new(operator.leader_role().clone(), operator.config.clone()),
            secrets,
            fence,
            clock: operator.clock.clone(),
            signers: AwsSigners::new(args::environment()),
            #[cfg(feature = "git")]
            git: GitReader::new(EgressPolicy::of_flag(ALLOW_LINK_LOCAL, false)),
        }
    }

    /// Applies the parameters and does it.
    pub async fn run(&self, task: &Task, firing: &Firing) -> Result<Done, TriggerError> {
        if !self.fence.is_open() {
            return Err(TriggerError::NotLeading);
        }
        let action = resolve(task, firing)?;
        let secrets = self.secrets.recording();
        let executor = Self {
            secrets: secrets.clone(),
            ..self.clone()
        };
        let done = action.run(Run {
            executor: &executor,
            firing,
            success: &task.success,
        });
        let outcome = match tokio::time::timeout(ACTION_DEADLINE, caught(done)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(TriggerError::Failed(
                "the action did not end in time".to_owned(),
            )),
        };
        if outcome.is_err() && !self.fence.is_open() {
            // Its requests may have been held back: not a failure, but the next leader's work.
            return Err(TriggerError::NotLeading);
        }
        // What a target answers is part of both, and it may repeat what it was sent.
        match outcome {
            Ok(Done(text)) => Ok(Done(clean(&secrets, text))),
            Err(error) => Err(error.redacted(&secrets)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failed_try() {
        let outcome = caught(async { panic!("boom") }).await;
        assert_eq!(
            outcome.expect_err("failed").to_string(),
            "the action panicked, which is a bug: boom"
        );
    }

    /// An action whose target answers with the Secret that it got.
    #[derive(Debug)]
    struct Echo;

    impl Action for Echo {
        fn key(&self) -> &'static str {
            "echo"
        }

        fn parameters(&self) -> &[crate::api::trigger::Parameter] {
            &[]
        }

        fn again(&self, path: &str, _value: &Value) -> kind::CheckedAction {
            Err(FieldError::new(path, "nothing patches it"))
        }

        fn preview(&self, _firing: &Firing) -> Result<Value, TriggerError> {
            Ok(Value::Null)
        }

        fn run<'r>(
            &'r self,
            run: Run<'r>,
        ) -> futures::future::BoxFuture<'r, Result<Done, TriggerError>> {
            Box::pin(async move {
                let key = crate::api::KeySelector {
                    name: "s".to_owned(),
                    key: "word".to_owned(),
                    optional: None,
                };
                let secret = run.executor.secrets.needed_secret("ns", &key).await?;
                let secret = secrecy::ExposeSecret::expose_secret(&secret).to_owned();
                Ok(Done(format!(
                    "answered {secret} at https://u:{secret}@host/"
                )))
            })
        }
    }

    #[tokio::test]
    async fn a_good_answer_that_repeats_a_secret_is_redacted_too() {
        let stage = stage::Stage::with_secret(&serde_json::json!({"word": "aHVudGVyMg=="}));
        let task = Task {
            action: Arc::new(Echo),
            template: Value::Null,
            parameters: Vec::new(),
            success: SuccessPolicy::default(),
        };
        let done = stage.run().executor.run(&task, &stage.firing).await;
        let text = done.expect("it is good").0;
        assert!(
            text.contains("answered") && !text.contains("hunter2"),
            "{text}"
        );
    }
}
