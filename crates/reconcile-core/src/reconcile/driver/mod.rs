//! Runs a controller: hands out objects, carries a pass from observe to report, decides the retry.

mod failure;
mod pass;
mod rights;
mod write;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::{Client, api::Api};
use prometheus::{HistogramVec, IntCounterVec};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Backoff, Complaints, Controller, Queue};
use crate::{
    admin::Readiness,
    apply::EventSink,
    client::Deadlines,
    clock::Clock,
    object::{Kind, ObjectKey, Root},
    operator::Operator,
    shards::{Authority, ByClaim},
    watch::{Guarded, Index, Watch},
};
use pass::Next;

/// Passes of one controller that run at the same time; they mostly wait for the API server.
const DEFAULT_WORKERS: usize = 16;
/// Longest time of a pass unless the controller asks for another: its few requests have deadlines of their own.
const DEFAULT_PASS_DEADLINE: Duration = Duration::from_secs(120);
/// A plan that wants to be woken at a time that has passed, again and again, must not take a whole core.
const SHORTEST_WAIT: Duration = Duration::from_millis(10);
/// Time of a write of the report, with its repetitions; more than an admission webhook takes by default (10 s). A report
/// that is not written is written by the next pass, so waiting longer gains nothing.
const REPORT_DEADLINE: Duration = Duration::from_secs(15);
/// Delay after a failure that only a new version of the program can mend.
const BUG_DELAY: Duration = Duration::from_secs(300);

/// How to run a controller.
#[derive(Clone, Debug)]
pub struct DriverConfig {
    /// Passes at the same time; 0 means the default of 16.
    pub workers: usize,
    /// Longest time of a pass, which is cancelled then and tried again; the default is two minutes.
    pub pass_deadline: Duration,
    /// Deadlines of the driver's own requests, which write the report and read the root object; the default for one
    /// request is 15 s. What the controller requests has the deadlines of the controller's client.
    pub report_deadlines: Deadlines,
    /// For which objects the controller acts; for all while the lease of the operator's controllers is held when absent.
    pub authority: Option<Authority>,
    /// Name of the queue in metrics; the plural of the kind when absent.
    pub queue_name: Option<&'static str>,
    /// Seconds per pass, labelled `namespace` and `name`.
    pub seconds: Option<HistogramVec>,
    /// Failed passes, labelled `namespace` and `name`.
    pub errors: Option<IntCounterVec>,
}

impl Default for DriverConfig {
    fn default() -> Self {
        Self {
            workers: DEFAULT_WORKERS,
            pass_deadline: DEFAULT_PASS_DEADLINE,
            report_deadlines: Deadlines {
                unary: REPORT_DEADLINE,
                ..Deadlines::default()
            },
            authority: None,
            queue_name: None,
            seconds: None,
            errors: None,
        }
    }
}

/// Runs one [`Controller`]. Cheap to share; all clones drive the same queue.
pub struct Driver<C: Controller> {
    controller: Arc<C>,
    roots: Index<Root<C::Kind>>,
    queue: Queue,
    backoff: Backoff,
    complaints: Complaints,
    client: Client,
    clock: Clock,
    events: EventSink,
    readiness: Readiness,
    authority: Authority,
    /// A client for each claim that is held.
    clients: ByClaim<Client>,
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
        let name = config.queue_name.unwrap_or(C::Kind::PLURAL);
        operator.queues.measure(name, &queue);
        let leader = operator.leader_role();
        let authority = config.authority.clone();
        Arc::new(Self {
            controller: Arc::new(controller),
            roots,
            queue,
            backoff: Backoff::default(),
            complaints: Complaints::default(),
            client: leader.with_deadlines(config.report_deadlines),
            clock: operator.clock.clone(),
            events: operator.events.clone(),
            readiness: operator.readiness.clone(),
            authority: authority.unwrap_or_else(|| Authority::leader(operator)),
            clients: ByClaim::default(),
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
        .on_change(move |change| {
            if !change.is_report_of(C::NAME) {
                queue.add(change.key);
            }
        })
    }

    /// Hands out objects from the moment on that all parts of the operator are ready: a plan from half-filled indexes
    /// would make what exists already and miss what is referred to. After shutdown waits for the passes in work.
    ///
    /// A controller of [`Controller::EVERY_REPLICA`] runs passes without the lease too, and all of them again when the
    /// lease is acquired. Of a controller with shards the objects of a shard that is taken have a pass.
    pub async fn run(self: Arc<Self>) {
        tokio::select! {
            () = self.readiness.wait() => {}
            () = self.shutdown.cancelled() => return,
        }
        let workers = if self.config.workers == 0 {
            DEFAULT_WORKERS
        } else {
            self.config.workers
        };
        let permits = Arc::new(Semaphore::new(workers));
        let passes = TaskTracker::new();
        let (mut some, mut changes) = (self.authority.changes(), self.authority.changes());
        let in_shards = matches!(self.authority, Authority::Shards(_));
        let mut ours = BTreeMap::new();
        if in_shards {
            self.shards_changed(&mut ours);
        }
        loop {
            let next = async {
                if !C::EVERY_REPLICA {
                    some.some().await;
                }
                let permit = permits.clone().acquire_owned().await.ok()?;
                Some((self.queue.next().await, permit))
            };
            let next = tokio::select! {
                () = self.shutdown.cancelled() => None,
                next = next => next,
                () = changes.changed(), if in_shards || C::EVERY_REPLICA => {
                    if in_shards {
                        self.shards_changed(&mut ours);
                    } else {
                        self.queue_all();
                    }
                    continue;
                }
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

    fn queue_all(&self) {
        for key in self.roots.keys() {
            self.queue.add(key);
        }
    }

    /// Runs a pass in a task of its own, so that neither a panic nor a stuck call takes others along.
    async fn supervise(self: &Arc<Self>, key: &ObjectKey) {
        let started = Instant::now();
        let mut pass = tokio::spawn({
            let (driver, key) = (self.clone(), key.clone());
            async move { driver.pass(&key).await }
        });
        let next = match tokio::time::timeout(self.config.pass_deadline, &mut pass).await {
            Ok(Ok(next)) => next,
            Ok(Err(panicked)) => {
                tracing::error!(controller = C::NAME, kind = C::Kind::KIND, object = %key, error = %panicked, "pass panicked; this is a bug");
                Next::After(BUG_DELAY, true)
            }
            Err(_) => {
                tracing::error!(controller = C::NAME, kind = C::Kind::KIND, object = %key, deadline = ?self.config.pass_deadline, "pass cancelled at its deadline; trying again");
                pass.abort();
                // A task ends at its next await. No other pass over the object may begin before that.
                drop(pass.await);
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
            Next::Again => self.queue.add(key.clone()),
            Next::At(at) => {
                let delay = until(at, self.clock.now()).max(SHORTEST_WAIT);
                self.queue.add_after(key.clone(), delay);
            }
            Next::After(delay, failed) => {
                if let (true, Some(errors)) = (failed, &self.config.errors) {
                    errors.with_label_values(&labels).inc();
                }
                if failed {
                    self.queue.retry_after(key.clone(), delay);
                } else {
                    self.queue.add_after(key.clone(), delay);
                }
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
}

fn until(at: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(at.duration_since(now)).unwrap_or_default()
}
