//! The watch constructor: streamed list with fall-back, back-off, guard, pruning, index.

use std::{fmt::Debug, sync::Arc, time::Duration};

use futures::StreamExt;
use kube::{
    Api, Resource,
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{Change, Guarded, Index, Undecodable};
use crate::{admin::Ready, object::ObjectKey};

/// Objects per page where the server cannot stream a list; small, because a page is held in memory.
const PAGE: u32 = 100;
/// First pause after a failed list or watch.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause after failures; an API server that comes back is seen within this time.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A failure after so long a time of quiet starts the back-off anew.
const CALM: Duration = Duration::from_secs(30);

/// Which objects to watch.
#[derive(Clone, Debug, Default)]
pub struct WatchConfig {
    /// Label selector; everything when absent.
    pub labels: Option<String>,
    /// Field selector; everything when absent.
    pub fields: Option<String>,
}

type Told = dyn Fn(Undecodable) + Send + Sync;

/// A watch that is being put together; [`Watch::run`] keeps it going until it is dropped.
pub struct Watch<K: Resource, T> {
    api: Api<Guarded<K>>,
    config: WatchConfig,
    index: Index<T>,
    convert: Box<dyn Fn(K) -> Option<T> + Send + Sync>,
    undecodable: Arc<Told>,
    ready: Option<Ready>,
    what: String,
}

impl<K, T> Watch<K, T>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    K::DynamicType: Clone + Default,
    T: PartialEq + Send + Sync + 'static,
{
    /// A watch of `api` into `index`. `convert` keeps the few fields that are needed; `None` leaves the
    /// object out.
    pub fn new(
        api: Api<Guarded<K>>,
        index: Index<T>,
        convert: impl Fn(K) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        let what = K::plural(&K::DynamicType::default()).into_owned();
        Self::named(what, api, index, convert)
    }
}

impl<K, T> Watch<K, T>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
    T: PartialEq + Send + Sync + 'static,
{
    /// As [`Watch::new`] for kinds that are only known at run time; `what` names the kind in the log.
    pub fn named(
        what: impl Into<String>,
        api: Api<Guarded<K>>,
        index: Index<T>,
        convert: impl Fn(K) -> Option<T> + Send + Sync + 'static,
    ) -> Self {
        Self {
            api,
            config: WatchConfig::default(),
            index,
            convert: Box::new(convert),
            undecodable: Arc::new(|_| {}),
            ready: None,
            what: what.into(),
        }
    }

    /// Narrows the watch.
    #[must_use]
    pub fn config(mut self, config: WatchConfig) -> Self {
        self.config = config;
        self
    }

    /// Called for every change of the index, see [`Index::on_change`]; must not block.
    #[must_use]
    pub fn on_change(self, changed: impl Fn(Change<T>) + Send + Sync + 'static) -> Self {
        self.index.on_change(changed);
        self
    }

    /// Called for every object that cannot be decoded; must not block.
    #[must_use]
    pub fn on_undecodable(mut self, told: impl Fn(Undecodable) + Send + Sync + 'static) -> Self {
        self.undecodable = Arc::new(told);
        self
    }

    /// Marks `ready` when the first list is complete.
    #[must_use]
    pub fn ready(mut self, ready: Ready) -> Self {
        self.ready = Some(ready);
        self
    }

    /// Watches for ever; ends only when the future is dropped.
    pub async fn run(self) {
        let mut streamed = true;
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let listed = self.follow(streamed).await;
            if started.elapsed() > CALM {
                pause = FIRST_PAUSE;
            }
            if let Stopped::Refused = listed {
                tracing::info!(kind = %self.what, "the API server does not stream lists; reading pages");
                streamed = false;
                continue;
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn follow(&self, streamed: bool) -> Stopped {
        let mut config = watcher::Config::default().page_size(PAGE);
        if streamed {
            config = config.streaming_lists();
        }
        config.label_selector.clone_from(&self.config.labels);
        config.field_selector.clone_from(&self.config.fields);
        let stream = watcher(self.api.clone(), config).modify(|object| {
            // Nobody here reads managed fields, and they are often half of an object.
            // Not emptied but dropped: an emptied list keeps its memory.
            object.meta_mut().managed_fields = None;
        });
        let mut stream = std::pin::pin!(stream);
        let mut failures_in_a_row = 0_u32;
        while let Some(event) = stream.next().await {
            match event {
                Ok(event) => {
                    failures_in_a_row = 0;
                    self.take(event);
                }
                Err(watcher::Error::WatchStartFailed(kube::Error::Api(status)))
                    if streamed
                        && matches!(status.code, 400 | 403 | 422)
                        && status_is_streaming(&status) =>
                {
                    return Stopped::Refused;
                }
                Err(error) => {
                    failures_in_a_row += 1;
                    // One line for the first failure; the repetition would only fill the log.
                    if failures_in_a_row == 1 {
                        tracing::warn!(kind = %self.what, %error, "watch failed; trying again");
                    }
                    let pause = FIRST_PAUSE
                        .saturating_mul(1 << failures_in_a_row.min(6))
                        .min(LONGEST_PAUSE);
                    tokio::time::sleep(pause).await;
                }
            }
        }
        Stopped::Ended
    }

    fn take(&self, event: watcher::Event<Guarded<K>>) {
        match event {
            watcher::Event::Init => self.index.begin_list(),
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                self.applied(object);
            }
            watcher::Event::Delete(object) => {
                let meta = object.meta();
                let uid = meta.uid.clone().unwrap_or_default();
                drop(self.index.deleted(&ObjectKey::of_meta(meta), &uid));
            }
            watcher::Event::InitDone => {
                drop(self.index.end_list());
                if let Some(ready) = &self.ready {
                    ready.set();
                }
            }
        }
    }

    fn applied(&self, object: Guarded<K>) {
        match object.0 {
            Err(bad) => {
                tracing::warn!(
                    kind = %self.what,
                    object = %ObjectKey::of_meta(&bad.metadata),
                    error = %bad.message,
                    "object skipped: it cannot be decoded"
                );
                (self.undecodable)(bad);
            }
            Ok(object) => {
                let meta = object.meta().clone();
                match (self.convert)(object) {
                    Some(value) => drop(self.index.written(&meta, value)),
                    // Left out: also when it was in before, as after a change of labels.
                    None => drop(self.index.dropped(&ObjectKey::of_meta(&meta))),
                }
            }
        }
    }
}

enum Stopped {
    Refused,
    Ended,
}

fn status_is_streaming(status: &kube::core::Status) -> bool {
    status.code != 403 || status.message.contains("sendInitialEvents")
}
