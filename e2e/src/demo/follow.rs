//! Follows a Rollout and notes when it passed each step, so that nothing is missed between two looks.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use futures::TryStreamExt as _;
use kube::api::{ApiResource, DynamicObject, GroupVersionKind};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

/// One state of the Rollout that differs from the one before.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    /// Image of the desired template.
    pub(super) image: String,
    /// `status.phase`.
    pub(super) phase: String,
    /// `status.message`.
    pub(super) message: String,
    /// Weight that the steps ask for now, in percent.
    pub(super) weight: u64,
    /// Pods of the desired template that are up.
    pub(super) updated: u64,
    /// Name and phase of the analysis of the current step.
    pub(super) analysis: Option<(String, String)>,
    /// The status speaks of the newest spec.
    pub(super) observed: bool,
    /// Whether the rollout was aborted.
    pub(super) aborted: bool,
}

/// Follows one Rollout until dropped.
pub(super) struct Follower {
    seen: Arc<Seen>,
    _watch: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Seen {
    states: Mutex<Vec<(Instant, State)>>,
    changed: Notify,
}

impl Follower {
    pub(super) fn start(client: Client, namespace: &str, name: &str) -> Self {
        let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "Rollout");
        let resource = ApiResource::from_gvk_with_plural(&kind, "rollouts");
        let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource);
        let seen = Arc::<Seen>::default();
        let (name, shared) = (name.to_owned(), seen.clone());
        let watch = tokio::spawn(async move {
            let mut states = Box::pin(watcher::watch_object(api, &name).default_backoff());
            loop {
                match states.try_next().await {
                    Ok(Some(Some(object))) => shared.note(&object),
                    Ok(Some(None)) => {}
                    Ok(None) => return,
                    Err(error) => tracing::debug!(%error, "following the Rollout"),
                }
            }
        });
        Self {
            seen,
            _watch: AbortOnDropHandle::new(watch),
        }
    }

    /// The first state since `from` that `reached` accepts, with the time at which it was seen.
    pub(super) async fn until(
        &self,
        from: Instant,
        what: &str,
        deadline: Duration,
        reached: impl Fn(&State) -> bool,
    ) -> Result<(Instant, State)> {
        let search = async {
            loop {
                let changed = self.seen.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                let found = {
                    let states = self
                        .seen
                        .states
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner);
                    states
                        .iter()
                        .find(|(at, state)| *at >= from && reached(state))
                        .cloned()
                };
                if let Some(found) = found {
                    return found;
                }
                changed.await;
            }
        };
        if let Ok(found) = tokio::time::timeout(deadline, search).await {
            return Ok(found);
        }
        let states = self
            .seen
            .states
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let last = states.last().map(|(_, state)| state);
        bail!("the Rollout did not reach {what} within {deadline:?}; it is {last:#?}")
    }
}

impl Seen {
    fn note(&self, object: &DynamicObject) {
        let state = State::of(object);
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if states.last().is_none_or(|(_, last)| *last != state) {
            states.push((Instant::now(), state));
            drop(states);
            self.changed.notify_waiters();
        }
    }
}

impl State {
    fn of(object: &DynamicObject) -> Self {
        let (spec, status) = (&object.data["spec"], &object.data["status"]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let steps = spec["strategy"]["canary"]["steps"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let index = status["currentStepIndex"].as_u64().unwrap_or(0);
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        let weight = if index >= steps.len() {
            100
        } else {
            steps[..=index]
                .iter()
                .rev()
                .find_map(|step| step["setWeight"].as_u64())
                .unwrap_or(0)
        };
        let analysis = &status["canary"]["currentStepAnalysisRunStatus"];
        let generation = object.metadata.generation.unwrap_or_default().to_string();
        Self {
            image: text(&spec["template"]["spec"]["containers"][0]["image"]),
            phase: text(&status["phase"]),
            message: text(&status["message"]),
            weight,
            updated: status["updatedReplicas"].as_u64().unwrap_or(0),
            analysis: analysis["name"]
                .as_str()
                .map(|name| (name.to_owned(), text(&analysis["status"]))),
            observed: status["observedGeneration"].as_str() == Some(generation.as_str()),
            aborted: status["abort"].as_bool().unwrap_or(false),
        }
    }
}
