//! The watch constructor: streamed list with fall-back, back-off, guard, pruning, index.

use std::{fmt::Debug, sync::Arc, time::Duration};

use futures::{Stream, StreamExt};
use kube::{
    Api, Resource,
    api::{GetParams, Request},
    runtime::{WatchStreamExt, watcher},
};
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use super::{Change, Guarded, Index, Undecodable, pauses::Pauses};
use crate::{admin::Ready, error::error_chain, object::ObjectKey};

/// Objects per page where the server cannot stream a list; small, because a page is held in memory.
const PAGE: u32 = 100;
/// A streamed list that is not complete after this time never will be: servers that do not know of streamed lists
/// send the objects and then no mark of their end.
const STREAMED_LIST: Duration = Duration::from_secs(60);
/// Time for the event of an own write to arrive before the object is read; events take milliseconds.
const ECHO: Duration = Duration::from_secs(5);

/// Which objects to watch.
#[derive(Clone, Debug, Default)]
pub struct WatchConfig {
    /// Label selector; everything when absent.
    pub labels: Option<String>,
    /// Field selector; everything when absent.
    pub fields: Option<String>,
}

type OnUndecodable = dyn Fn(Undecodable) + Send + Sync;

/// A watch that is being put together; [`Watch::run`] keeps it going until it is dropped.
pub struct Watch<K: Resource, T> {
    api: Api<Guarded<K>>,
    config: WatchConfig,
    index: Index<T>,
    convert: Box<dyn Fn(K) -> Option<T> + Send + Sync>,
    undecodable: Arc<OnUndecodable>,
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
    pub fn on_undecodable(mut self, on_bad: impl Fn(Undecodable) + Send + Sync + 'static) -> Self {
        self.undecodable = Arc::new(on_bad);
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
        let mut pauses = Pauses::default();
        let mut mode = ListMode::Streamed;
        loop {
            match self.follow(mode, &mut pauses).await {
                Stopped::Refused => {
                    tracing::info!(resource = %self.what, "the API server does not stream lists; reading pages");
                    mode = ListMode::Paged;
                }
                Stopped::Ended => tokio::time::sleep(pauses.after_failure()).await,
            }
        }
    }

    fn stream(
        &self,
        mode: ListMode,
    ) -> impl Stream<Item = watcher::Result<watcher::Event<Guarded<K>>>> + use<K, T> {
        let mut config = watcher::Config::default().page_size(PAGE);
        if mode == ListMode::Streamed {
            config = config.streaming_lists();
        }
        config.label_selector.clone_from(&self.config.labels);
        config.field_selector.clone_from(&self.config.fields);
        watcher(self.api.clone(), config).modify(|object| {
            // Nobody here reads managed fields, and they are often half of an object.
            // Not emptied but dropped: an emptied list keeps its memory.
            object.meta_mut().managed_fields = None;
        })
    }

    /// Lists and watches until only a new beginning helps.
    async fn follow(&self, mode: ListMode, pauses: &mut Pauses) -> Stopped {
        let mut stream = std::pin::pin!(self.stream(mode));
        // By when the list must be complete, and when to read own writes that the watch has not sent.
        let mut listed =
            Some(Instant::now() + STREAMED_LIST).filter(|_| mode == ListMode::Streamed);
        let mut look: Option<Instant> = None;
        loop {
            let event = tokio::select! {
                // Events first: no timer is touched while they come one after the other.
                biased;
                event = stream.next() => event,
                () = reached(listed) => return Stopped::Refused,
                () = reached(look) => {
                    look = self.look_for_unsure().await;
                    continue;
                }
            };
            match event {
                None => return Stopped::Ended,
                Some(Ok(event)) => {
                    if let watcher::Event::InitDone = &event {
                        listed = None;
                        look = Some(Instant::now() + ECHO);
                    }
                    self.take(event);
                    if pauses.recovered() {
                        tracing::info!(resource = %self.what, "watch recovered");
                    }
                }
                Some(Err(error)) => match self.failed(&error, mode, pauses).await {
                    Some(stopped) => return stopped,
                    // What fails is another matter than what never ends.
                    None => listed = listed.map(|_| Instant::now() + STREAMED_LIST),
                },
            }
        }
    }

    /// Waits before the next try, or returns why this watch has to stop.
    async fn failed(
        &self,
        error: &watcher::Error,
        mode: ListMode,
        pauses: &mut Pauses,
    ) -> Option<Stopped> {
        if let watcher::Error::WatchStartFailed(kube::Error::Api(status)) = error {
            if mode == ListMode::Streamed && is_refusal_to_stream(status) {
                return Some(Stopped::Refused);
            }
            // The history is gone. As an event of a watch kube's watcher knows what to do, as an answer it does not.
            if status.code == 410 {
                return Some(Stopped::Ended);
            }
        }
        // One line for the first failure; the repetition would only fill the log.
        if pauses.is_first_failure() {
            tracing::warn!(resource = %self.what, error = error_chain(error), "watch failed; trying again");
        }
        tokio::time::sleep(pauses.after_failure()).await;
        None
    }

    /// Reads the objects that this process wrote while the list was made and that the watch has not sent since: they may
    /// have been deleted before the list was made, and then no event follows. Returns the time of the next try.
    async fn look_for_unsure(&self) -> Option<Instant> {
        for (key, uid) in self.index.unsure() {
            match self.get(&key).await {
                Ok(Some(object)) if object.meta().uid.as_deref() == Some(&*uid) => {
                    self.applied(object);
                }
                Ok(_) => drop(self.index.deleted(&key, &uid)),
                Err(error) => {
                    tracing::debug!(resource = %self.what, object = %key, error = error_chain(&error), "cannot read an object after writing it");
                    return Some(Instant::now() + ECHO);
                }
            }
        }
        None
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Guarded<K>>, kube::Error> {
        let url = match self.api.resource_url().rsplit_once('/') {
            // The watch is of all namespaces.
            Some((head, plural)) if !key.namespace.is_empty() && !head.contains("/namespaces/") => {
                format!("{head}/namespaces/{}/{plural}", key.namespace)
            }
            _ => self.api.resource_url().to_owned(),
        };
        let request = Request::new(url)
            .get(&key.name, &GetParams::default())
            .map_err(kube::Error::BuildRequest)?;
        match self.api.clone().into_client().request(request).await {
            Ok(object) => Ok(Some(object)),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn take(&self, event: watcher::Event<Guarded<K>>) {
        match event {
            watcher::Event::Init => self.index.begin_list(),
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                self.applied(object);
            }
            watcher::Event::Delete(object) => drop(self.index.went(object.meta())),
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
                    resource = %self.what,
                    object = %ObjectKey::of_meta(&bad.metadata),
                    error = %bad.message,
                    "object skipped: cannot decode it"
                );
                // It is there; a list that holds it must not count it as gone.
                self.index.confirm(&bad.metadata);
                (self.undecodable)(bad);
            }
            Ok(object) => {
                let meta = object.meta().clone();
                match (self.convert)(object) {
                    Some(value) => drop(self.index.seen(&meta, value)),
                    // Left out: also when it was in before, as after a change of labels.
                    None => drop(self.index.left_out(&meta)),
                }
            }
        }
    }
}

/// How the first list is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ListMode {
    /// As the first events of the watch.
    Streamed,
    /// Page by page.
    Paged,
}

enum Stopped {
    /// The server does not stream lists.
    Refused,
    /// The watch has to start again.
    Ended,
}

async fn reached(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn is_refusal_to_stream(status: &kube::core::Status) -> bool {
    match status.code {
        400 | 422 => true,
        403 => status.message.contains("sendInitialEvents"),
        _ => false,
    }
}
