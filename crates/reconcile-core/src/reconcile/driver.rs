//! Runs a controller: hands out objects, carries a pass from observe to report, decides the retry.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{
    Client, Resource,
    api::{Api, Patch, PatchParams, Request},
};
use prometheus::{HistogramVec, IntCounterVec};
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Backoff, Classify, Controller, Done, ErrorClass, Plan, Queue, Report, RootPatch, Target,
    classify_kube,
};
use crate::{
    apply::EventSink,
    clock::Clock,
    object::{Kind, ObjectKey, Root},
    operator::Operator,
    watch::{Guarded, Index, Watch},
};

/// Passes of one controller that run at the same time; they mostly wait for the API server.
const DEFAULT_WORKERS: usize = 16;
/// A pass that takes longer is stuck: every call inside has a deadline of its own.
const PASS_DEADLINE: Duration = Duration::from_secs(300);
/// Delay after a failure that only a new version of the program can mend.
const BUG_DELAY: Duration = Duration::from_secs(300);

/// How to run a controller.
#[derive(Clone, Debug, Default)]
pub struct DriverConfig {
    /// Passes at the same time; 0 means the default of 16.
    pub workers: usize,
    /// Seconds per pass, labelled `namespace` and `name`.
    pub seconds: Option<HistogramVec>,
    /// Failed passes, labelled `namespace` and `name`.
    pub errors: Option<IntCounterVec>,
}

/// Runs one [`Controller`]. Cheap to share; all clones drive the same queue.
pub struct Driver<C: Controller> {
    controller: Arc<C>,
    roots: Index<Root<C::Kind>>,
    queue: Queue,
    backoff: Backoff,
    client: Client,
    clock: Clock,
    events: EventSink,
    leader: watch::Receiver<bool>,
    shutdown: CancellationToken,
    config: DriverConfig,
}

impl<C: Controller> Driver<C> {
    /// A driver for `controller` with the operator's client, clock and leadership.
    pub fn new(controller: C, operator: &Operator, config: DriverConfig) -> Arc<Self> {
        Self::with_queue(controller, operator, config, Queue::new(), Index::default())
    }

    /// As [`Driver::new`] with a queue and an index that the controller already shares with others.
    pub fn with_queue(
        controller: C,
        operator: &Operator,
        config: DriverConfig,
        queue: Queue,
        roots: Index<Root<C::Kind>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            controller: Arc::new(controller),
            roots,
            queue,
            backoff: Backoff::default(),
            client: operator.client.clone(),
            clock: operator.clock.clone(),
            events: operator.events.clone(),
            leader: operator.leader(),
            shutdown: operator.shutdown.clone(),
            config,
        })
    }

    /// The root objects, as last read or written.
    pub fn roots(&self) -> &Index<Root<C::Kind>> {
        &self.roots
    }

    /// The queue, for watches of other kinds that concern a root object.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The controller.
    pub fn controller(&self) -> &Arc<C> {
        &self.controller
    }

    /// The watch of the root objects; every change queues a pass.
    pub fn watch_roots(
        &self,
        api: Api<Guarded<Root<C::Kind>>>,
    ) -> Watch<Root<C::Kind>, Root<C::Kind>> {
        let queue = self.queue.clone();
        Watch::named(
            C::Kind::PLURAL,
            api,
            self.roots.clone(),
            |mut root: Root<C::Kind>| {
                root.slim();
                Some(root)
            },
        )
        .on_change(move |change| queue.add(change.key))
    }

    /// Hands out objects until shutdown, then waits for the passes in work.
    pub async fn run(self: Arc<Self>) {
        let workers = if self.config.workers == 0 {
            DEFAULT_WORKERS
        } else {
            self.config.workers
        };
        let permits = Arc::new(Semaphore::new(workers));
        let passes = TaskTracker::new();
        let mut leader = self.leader.clone();
        loop {
            let next = async {
                leader.wait_for(|leads| *leads).await.ok()?;
                let permit = permits.clone().acquire_owned().await.ok()?;
                Some((self.queue.next().await, permit))
            };
            let next = tokio::select! {
                () = self.shutdown.cancelled() => None,
                next = next => next,
            };
            let Some((key, permit)) = next else { break };
            let driver = self.clone();
            passes.spawn(async move {
                driver.supervise(&key).await;
                driver.queue.finish(&key);
                drop(permit);
            });
        }
        passes.close();
        passes.wait().await;
    }

    /// Runs a pass in a task of its own, so that neither a panic nor a stuck call takes others along.
    async fn supervise(self: &Arc<Self>, key: &ObjectKey) {
        let started = Instant::now();
        let pass = tokio::spawn({
            let (driver, key) = (self.clone(), key.clone());
            async move { driver.pass(&key).await }
        });
        let abort = pass.abort_handle();
        let next = match tokio::time::timeout(PASS_DEADLINE, pass).await {
            Ok(Ok(next)) => next,
            Ok(Err(panicked)) => {
                tracing::error!(controller = C::NAME, object = %key, error = %panicked, "the pass panicked; this is a bug");
                Next::After(BUG_DELAY, true)
            }
            Err(_) => {
                abort.abort();
                tracing::error!(controller = C::NAME, object = %key, "the pass did not end in time");
                Next::After(self.backoff.failed(key), true)
            }
        };
        let labels = [key.namespace.as_str(), key.name.as_str()];
        if let Some(seconds) = &self.config.seconds {
            seconds
                .with_label_values(&labels)
                .observe(started.elapsed().as_secs_f64());
        }
        match next {
            Next::Idle => {}
            Next::Gone => self.drop_metrics(&labels),
            Next::At(at) => self
                .queue
                .add_after(key.clone(), until(at, self.clock.now())),
            Next::After(delay, failed) => {
                if let (true, Some(errors)) = (failed, &self.config.errors) {
                    errors.with_label_values(&labels).inc();
                }
                self.queue.add_after(key.clone(), delay);
            }
        }
    }

    fn drop_metrics(&self, labels: &[&str]) {
        // An absent series is fine: the object may never have had a pass.
        if let Some(seconds) = &self.config.seconds {
            drop(seconds.remove_label_values(labels));
        }
        if let Some(errors) = &self.config.errors {
            drop(errors.remove_label_values(labels));
        }
    }

    async fn pass(&self, key: &ObjectKey) -> Next {
        let Some(mut root) = self.roots.get(key) else {
            self.controller.forget(key);
            self.backoff.succeeded(key);
            self.queue.forget(key);
            return Next::Gone;
        };
        let mut retried = false;
        loop {
            let failure = match self.once(&root, retried).await {
                Ok(next) => {
                    self.backoff.succeeded(key);
                    return next;
                }
                Err(failure) => failure,
            };
            if failure.class == ErrorClass::Conflict && !retried {
                retried = true;
                match self.read_again(key).await {
                    Ok(Some(fresh)) => {
                        root = fresh;
                        continue;
                    }
                    Ok(None) => return Next::Idle,
                    Err(error) => {
                        tracing::warn!(controller = C::NAME, object = %key, %error, "cannot read the object again");
                    }
                }
            }
            return self.after_failure(key, &failure);
        }
    }

    fn after_failure(&self, key: &ObjectKey, failure: &Failure) -> Next {
        let text = &failure.text;
        match failure.class {
            ErrorClass::Invalid => {
                tracing::warn!(controller = C::NAME, object = %key, error = %text, "the object asks for something impossible; waiting for a change");
                // Some inputs are wrong only until something else appears, so look again now and then.
                Next::After(BUG_DELAY, true)
            }
            ErrorClass::Fenced => Next::After(Duration::from_secs(1), false),
            ErrorClass::RetryAfter(delay) => Next::After(delay, true),
            ErrorClass::Bug => {
                tracing::error!(controller = C::NAME, object = %key, error = %text, "this is a bug");
                Next::After(BUG_DELAY, true)
            }
            ErrorClass::Conflict | ErrorClass::Transient => {
                let delay = self.backoff.failed(key);
                tracing::warn!(controller = C::NAME, object = %key, error = %text, ?delay, "pass failed; trying again");
                Next::After(delay, true)
            }
        }
    }

    async fn read_again(&self, key: &ObjectKey) -> Result<Option<Arc<Root<C::Kind>>>, kube::Error> {
        let request = Request::new(Self::url(key))
            .get(&key.name, &kube::api::GetParams::default())
            .map_err(kube::Error::BuildRequest)?;
        match self.client.request::<Root<C::Kind>>(request).await {
            Ok(root) => Ok(Some(self.remember(root))),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn remember(&self, mut root: Root<C::Kind>) -> Arc<Root<C::Kind>> {
        // As the watch keeps it; the watch event of this write does not replace an equal version.
        root.slim();
        let meta = root.metadata.clone();
        let key = ObjectKey::of_meta(&meta);
        // An own write is no reason for another pass by itself; `write` looks for foreign changes.
        drop(self.roots.store(&meta, root.clone()));
        self.roots.get(&key).unwrap_or_else(|| Arc::new(root))
    }

    fn url(key: &ObjectKey) -> String {
        let namespace = (!key.namespace.is_empty()).then_some(key.namespace.as_str());
        Root::<C::Kind>::url_path(&(), namespace)
    }

    async fn once(&self, root: &Arc<Root<C::Kind>>, retried: bool) -> Result<Next, Failure> {
        let now = self.clock.now();
        let observed = match self.controller.observe(root).await {
            Ok(observed) => observed,
            Err(error) => {
                let failure = Failure::of(&error);
                if matches!(
                    failure.class,
                    ErrorClass::Invalid | ErrorClass::Bug | ErrorClass::Transient
                ) {
                    let report = C::reject(root, &error, now);
                    self.write(root, &report).await?;
                }
                return Err(failure);
            }
        };
        let plan = C::plan(&observed, now);
        Self::log(root, &plan);
        let mut done = Vec::with_capacity(plan.actions.len());
        let mut failure = None;
        for (index, action) in plan.actions.iter().enumerate() {
            let result = self.controller.apply(&observed, action).await;
            if let Err(error) = &result {
                failure = Some(Failure::of(error).during(action));
            }
            done.push(Done::new(index, result));
            if failure.is_some() {
                break;
            }
        }
        if let Some(failure) = &failure
            && (failure.class == ErrorClass::Fenced
                || (failure.class == ErrorClass::Conflict && !retried))
        {
            return Err(failure.clone());
        }
        let report = C::report(&observed, &plan, &done, now);
        self.write(root, &report).await?;
        if let Some(failure) = failure {
            return Err(failure);
        }
        Ok(match (report.again, plan.wake) {
            (true, _) => Next::At(now),
            (false, Some(at)) => Next::At(at),
            (false, None) => Next::Idle,
        })
    }

    fn log(root: &Root<C::Kind>, plan: &Plan<C::Action>) {
        let quiet = plan.actions.is_empty();
        for note in &plan.notes {
            if quiet {
                tracing::debug!(controller = C::NAME, object = %root.key(), "{note}");
            } else {
                tracing::info!(controller = C::NAME, object = %root.key(), "{note}");
            }
        }
        for action in &plan.actions {
            tracing::debug!(controller = C::NAME, object = %root.key(), "{action}");
        }
    }

    async fn write(&self, root: &Root<C::Kind>, report: &Report) -> Result<(), Failure> {
        let mut expected = Watched::of(root);
        let mut version = root.metadata.resource_version.clone();
        for patch in &report.patches {
            match self.patch(root, patch).await {
                Ok(written) => {
                    expected.patch(&patch.body);
                    let found = Watched::of(&written);
                    let key = root.key();
                    let before = version.replace(
                        written
                            .metadata
                            .resource_version
                            .clone()
                            .unwrap_or_default(),
                    );
                    drop(self.remember(written));
                    // An unchanged version means that the server made nothing of the patch, as when the
                    // schema drops a field: no reason to try again.
                    if found != expected && version != before {
                        // Somebody else wrote meanwhile. The event of that write is older than this
                        // answer and will be dropped, so the pass it calls for is asked for here.
                        self.queue.add(key);
                        expected = found;
                    }
                }
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                Err(error) => {
                    return Err(Failure {
                        class: classify_kube(&error),
                        text: format!("writing the status: {error}"),
                    });
                }
            }
        }
        for event in &report.events {
            self.events
                .emit(C::NAME, root.object_reference(), event.clone());
        }
        Ok(())
    }

    async fn patch(
        &self,
        root: &Root<C::Kind>,
        patch: &RootPatch,
    ) -> Result<Root<C::Kind>, kube::Error> {
        let mut body = patch.body.clone();
        if patch.guarded
            && let (Some(body), Some(version)) = (
                body.as_object_mut(),
                root.metadata.resource_version.as_ref(),
            )
        {
            let metadata = body
                .entry("metadata")
                .or_insert_with(|| serde_json::json!({}));
            metadata["resourceVersion"] = version.clone().into();
        }
        let key = root.key();
        let (params, merge) = (PatchParams::default(), Patch::Merge(&body));
        let request = Request::new(Self::url(&key));
        let request = match patch.target {
            Target::Main => request.patch(&key.name, &params, &merge),
            Target::Status => request.patch_subresource("status", &key.name, &params, &merge),
        };
        self.client
            .request(request.map_err(kube::Error::BuildRequest)?)
            .await
    }
}

/// The parts of a root object whose change calls for a pass.
#[derive(PartialEq)]
struct Watched(serde_json::Value);

impl Watched {
    fn of<K: Kind>(root: &Root<K>) -> Self {
        let meta = &root.metadata;
        Self(serde_json::json!({
            "metadata": {
                "annotations": meta.annotations.iter().flatten()
                    .filter(|(key, _)| *key != "kubectl.kubernetes.io/last-applied-configuration")
                    .collect::<std::collections::BTreeMap<_, _>>(),
                "labels": meta.labels.iter().flatten().collect::<std::collections::BTreeMap<_, _>>(),
                "finalizers": meta.finalizers.iter().flatten().collect::<Vec<_>>(),
                "deletionTimestamp": meta.deletion_timestamp,
            },
            "spec": root.spec_value(),
            "status": root.status_value(),
            "operation": root.operation_value(),
        }))
    }

    fn patch(&mut self, body: &serde_json::Value) {
        let mut body = body.clone();
        if let Some(metadata) = body
            .get_mut("metadata")
            .and_then(|meta| meta.as_object_mut())
        {
            metadata.remove("resourceVersion");
        }
        json_patch::merge(&mut self.0, &body);
        for part in ["spec", "status", "operation"] {
            // A removed part reads as null.
            if self.0.get(part).is_none() {
                self.0[part] = serde_json::Value::Null;
            }
        }
    }
}

/// What happens to the object after the pass.
#[derive(Debug)]
enum Next {
    Idle,
    Gone,
    At(Timestamp),
    /// Delay, and whether the pass counts as failed.
    After(Duration, bool),
}

#[derive(Clone, Debug)]
struct Failure {
    class: ErrorClass,
    text: String,
}

impl Failure {
    fn of<E: std::error::Error + Classify>(error: &E) -> Self {
        let mut text = error.to_string();
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            let inner_text = inner.to_string();
            if !text.contains(&inner_text) {
                text = format!("{text}: {inner_text}");
            }
            source = inner.source();
        }
        Self {
            class: error.class(),
            text,
        }
    }

    fn during(mut self, action: &impl std::fmt::Display) -> Self {
        self.text = format!("{action}: {}", self.text);
        self
    }
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}
