//! Waiting for many objects: one watch, a set and a counter.

use std::collections::HashMap;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::{Result, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::api::ApiResource;
use kube::core::object::NotUsed;
use kube::core::{GroupVersionKind, Object};
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, MissedTickBehavior};

use super::subject::Subject;

/// How often progress is logged and the engine checked.
const LOOK: Duration = Duration::from_secs(5);

/// An object of which only the status is read.
pub(crate) type Seen<S> = Object<NotUsed, S>;

/// An Api of a kind of `argoproj.io/v1alpha1` that reads only metadata and the status.
pub(crate) fn statuses<S>(client: Client, namespace: &str, kind: &str, plural: &str) -> Api<Seen<S>>
where
    S: Clone + Default + DeserializeOwned + Debug,
{
    let gvk = GroupVersionKind::gvk("argoproj.io", "v1alpha1", kind);
    let resource = ApiResource::from_gvk_with_plural(&gvk, plural);
    Api::namespaced_with(client, namespace, &resource)
}

/// When objects reached their state.
#[derive(Debug, Default)]
pub(crate) struct Reached {
    /// From the start of the load until the last object was there, or until the deadline.
    pub(crate) took: Duration,
    /// When each object reached it, by name.
    pub(crate) at: HashMap<String, Instant>,
}

/// Watches until `expected` objects fulfil `reached` at the same time. An object that falls back does not count until it
/// returns. Ends without an error at the deadline; an error when the engine ends.
pub(crate) async fn until_all<S>(
    api: Api<Seen<S>>,
    expected: usize,
    start: Instant,
    deadline: Duration,
    subject: &Subject,
    reached: impl Fn(&Seen<S>) -> bool,
) -> Result<Reached>
where
    S: Clone + Default + DeserializeOwned + Debug + Send + 'static,
{
    let mut at: HashMap<String, Instant> = HashMap::with_capacity(expected);
    let mut events = watcher(api, watcher::Config::default())
        .default_backoff()
        .boxed();
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = start + deadline;
    loop {
        tokio::select! {
            event = events.try_next() => match event {
                Ok(Some(watcher::Event::Apply(object) | watcher::Event::InitApply(object))) => {
                    let name = object.name_any();
                    if reached(&object) {
                        at.entry(name).or_insert_with(Instant::now);
                    } else {
                        at.remove(&name);
                    }
                }
                Ok(Some(watcher::Event::Delete(object))) => drop(at.remove(&object.name_any())),
                Ok(Some(watcher::Event::Init | watcher::Event::InitDone)) => {}
                Ok(None) => bail!("the watch ended"),
                Err(error) => tracing::warn!(%error, "watching the load"),
            },
            _ = looks.tick() => {
                subject.check().await?;
                tracing::info!("{} of {expected} after {:.0} s", at.len(), start.elapsed().as_secs_f64());
            }
            () = tokio::time::sleep_until(end) => {
                return Ok(Reached { took: deadline, at });
            }
        }
        if at.len() >= expected {
            return Ok(Reached {
                took: start.elapsed(),
                at,
            });
        }
    }
}
