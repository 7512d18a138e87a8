//! Small values of watched objects, by key and by tag, with read-your-writes.
//!
//! A controller that has just written an object must not plan from an older copy of it. Therefore every
//! answer of a write goes into the index too ([`Index::written`], [`Index::deleted`]), and an event that
//! is older than what is known is dropped. resourceVersions of one kind are ordered numbers
//! (KEP-5504), across all objects of the kind.

mod state;

use std::sync::Arc;

use kube::api::ObjectMeta;
use parking_lot::RwLock;

use crate::object::ObjectKey;
use state::State;

/// Where a change comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An event of the watch.
    Watch,
    /// The answer to a write of this process, or to a read around one.
    Write,
    /// The answer to what the named controller wrote to its own root object.
    Report(&'static str),
}

/// A change of a value: before and after; `None` where there is none.
#[derive(Debug)]
pub struct Change<T> {
    /// The object.
    pub key: ObjectKey,
    /// Where it comes from.
    pub origin: Origin,
    /// The value before.
    pub old: Option<Arc<T>>,
    /// The value now; `None` when the object is gone.
    pub new: Option<Arc<T>>,
}

/// A value with what identifies the object's state.
#[derive(Clone, Debug)]
pub struct Stored<T> {
    /// The object's uid.
    pub uid: Arc<str>,
    /// resourceVersion as a number; 0 when the server gave none.
    pub version: u64,
    /// The value.
    pub value: Arc<T>,
    /// Number of the list during or after which the value was last confirmed.
    epoch: u32,
    /// The watch sent the object in that list or after it; false when only the answer to an own write did.
    watched: bool,
}

impl<T> Clone for Change<T> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            origin: self.origin,
            old: self.old.clone(),
            new: self.new.clone(),
        }
    }
}

impl<T> Change<T> {
    /// True for the answer to a report of `controller`, which needs no pass of that controller: its driver looks
    /// itself for what others changed meanwhile. Everybody else treats it as any other change.
    pub fn is_report_of(&self, controller: &str) -> bool {
        matches!(self.origin, Origin::Report(name) if name == controller)
    }
}

type Listener<T> = Arc<dyn Fn(Change<T>) + Send + Sync>;
type Tags<T> = dyn Fn(&T) -> Vec<String> + Send + Sync;

/// Values by key and by tag. Cloning shares the index.
pub struct Index<T> {
    state: Arc<RwLock<State<T>>>,
    tags: Arc<Tags<T>>,
    listeners: Arc<RwLock<Vec<Listener<T>>>>,
}

impl<T> Clone for Index<T> {
    fn clone(&self) -> Self {
        Self {
            listeners: self.listeners.clone(),
            state: self.state.clone(),
            tags: self.tags.clone(),
        }
    }
}

impl<T: PartialEq> Default for Index<T> {
    fn default() -> Self {
        Self::new(|_| Vec::new())
    }
}

impl<T: PartialEq> Index<T> {
    /// An empty index; `tags` gives the tags under which a value is found by [`Index::tagged`], for
    /// example the uid of its owner.
    pub fn new(tags: impl Fn(&T) -> Vec<String> + Send + Sync + 'static) -> Self {
        Self {
            state: Arc::new(RwLock::new(State::default())),
            tags: Arc::new(tags),
            listeners: Arc::default(),
        }
    }

    /// Calls `listener` for every change from now on, whatever its [`Origin`]: the answer to a write of this process
    /// may carry a change by somebody else, whose event is then dropped as old. Must not block.
    pub fn on_change(&self, listener: impl Fn(Change<T>) + Send + Sync + 'static) {
        self.listeners.write().push(Arc::new(listener));
    }

    fn notify(&self, change: Option<Change<T>>) -> Option<Change<T>> {
        if let Some(change) = &change {
            for listener in self.listeners.read().iter() {
                listener(change.clone());
            }
        }
        change
    }

    /// The value of `key`.
    pub fn get(&self, key: &ObjectKey) -> Option<Arc<T>> {
        self.state
            .read()
            .objects
            .get(key)
            .map(|stored| stored.value.clone())
    }

    /// The value of `key` with uid and version.
    pub fn stored(&self, key: &ObjectKey) -> Option<Stored<T>>
    where
        T: Clone,
    {
        self.state.read().objects.get(key).cloned()
    }

    /// The values that carry `tag`, ordered by key.
    pub fn tagged(&self, tag: &str) -> Vec<(ObjectKey, Arc<T>)> {
        let state = self.state.read();
        let mut found: Vec<_> = state
            .tagged
            .get(tag)
            .into_iter()
            .flatten()
            .filter_map(|key| Some((key.clone(), state.objects.get(key)?.value.clone())))
            .collect();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        found
    }

    /// All keys, in no order.
    pub fn keys(&self) -> Vec<ObjectKey> {
        self.state.read().objects.keys().cloned().collect()
    }

    /// Calls `visit` for each value while the index is locked for reading; keep it short.
    pub fn each(&self, mut visit: impl FnMut(&ObjectKey, &Arc<T>)) {
        for (key, stored) in &self.state.read().objects {
            visit(key, &stored.value);
        }
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.state.read().objects.len()
    }

    /// True when nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes a value from the answer to a write. A state older than the stored one is dropped. Gives the change when
    /// the value is another one, after calling the listeners.
    pub fn written(&self, meta: &ObjectMeta, value: T) -> Option<Change<T>> {
        self.notify(self.put(meta, value, Origin::Write))
    }

    /// As [`Index::written`] for what `controller` wrote to its own root object.
    pub(crate) fn reported(
        &self,
        controller: &'static str,
        meta: &ObjectMeta,
        value: T,
    ) -> Option<Change<T>> {
        self.notify(self.put(meta, value, Origin::Report(controller)))
    }

    /// Takes a value from an event of the watch.
    pub(crate) fn seen(&self, meta: &ObjectMeta, value: T) -> Option<Change<T>> {
        self.notify(self.put(meta, value, Origin::Watch))
    }

    fn put(&self, meta: &ObjectMeta, value: T, origin: Origin) -> Option<Change<T>> {
        let key = ObjectKey::of_meta(meta);
        let version = version_of(meta);
        let uid: Arc<str> = meta.uid.as_deref().unwrap_or_default().into();
        let mut state = self.state.write();
        let epoch = state.epoch;
        if state.is_old_news(&uid, version) {
            return None;
        }
        let mut watched = origin == Origin::Watch;
        if let Some(stored) = state.objects.get_mut(&key) {
            let same_object = stored.uid == uid;
            if same_object {
                watched |= stored.watched && stored.epoch == epoch;
                (stored.epoch, stored.watched) = (epoch, watched);
            }
            // Also of another object: a late event about one that went before the stored one was made.
            if stored.version > version && version != 0 {
                return None;
            }
            if same_object && *stored.value == value {
                stored.version = version;
                return None;
            }
        }
        let value = Arc::new(value);
        let stored = Stored {
            uid: uid.clone(),
            version,
            value: value.clone(),
            epoch,
            watched,
        };
        let old = state.objects.insert(key.clone(), stored);
        if let Some(old) = &old {
            state.untag(&key, (self.tags)(&old.value));
            if old.uid != uid {
                state.bury(&old.uid, version);
            }
        }
        state.tag(&key, (self.tags)(&value));
        Some(Change {
            key,
            origin,
            old: old.map(|stored| stored.value),
            new: Some(value),
        })
    }

    /// Takes the deletion of an object; a later event about the same uid is dropped.
    pub fn deleted(&self, key: &ObjectKey, uid: &str) -> Option<Change<T>> {
        self.notify(self.remove(key, uid, u64::MAX, Origin::Write))
    }

    /// Takes the news that the object of `meta` went: it was deleted, or it left the selection of the watch, to which
    /// it may come back with a later version.
    pub fn went(&self, meta: &ObjectMeta) -> Option<Change<T>> {
        let uid = meta.uid.as_deref().unwrap_or_default();
        let version = match version_of(meta) {
            0 => u64::MAX,
            version => version,
        };
        self.notify(self.remove(&ObjectKey::of_meta(meta), uid, version, Origin::Watch))
    }

    /// Takes the news that the object of `meta` is of no interest in this state. Somebody may take an interest in
    /// just this state later, and then reads it by itself; so only older states are old news, and of an object that
    /// is not here nothing is remembered at all, or all objects of the cluster would be.
    pub(crate) fn left_out(&self, meta: &ObjectMeta) -> Option<Change<T>> {
        let (key, version) = (ObjectKey::of_meta(meta), version_of(meta));
        let change = {
            let mut state = self.state.write();
            let stored = state.objects.get(&key)?;
            if stored.version > version && version != 0 {
                return None;
            }
            if meta.uid.as_deref() == Some(stored.uid.as_ref()) {
                let uid = stored.uid.clone();
                state.bury(&uid, version.saturating_sub(1));
            }
            self.take(&mut state, &key, Origin::Watch)
        };
        self.notify(change)
    }

    fn remove(
        &self,
        key: &ObjectKey,
        uid: &str,
        version: u64,
        origin: Origin,
    ) -> Option<Change<T>> {
        let mut state = self.state.write();
        state.bury(uid, version);
        match state.objects.get(key) {
            Some(stored) if !uid.is_empty() && stored.uid.as_ref() != uid => return None,
            Some(stored) if stored.version > version => return None,
            _ => {}
        }
        self.take(&mut state, key, origin)
    }

    fn take(&self, state: &mut State<T>, key: &ObjectKey, origin: Origin) -> Option<Change<T>> {
        let old = state.objects.remove(key)?.value;
        state.untag(key, (self.tags)(&old));
        Some(Change {
            key: key.clone(),
            origin,
            old: Some(old),
            new: None,
        })
    }

    /// Removes a value whose object lives on but is of no interest any more. The listeners are not called.
    pub fn dropped(&self, key: &ObjectKey) -> Option<Change<T>> {
        self.take(&mut self.state.write(), key, Origin::Write)
    }

    /// Confirms that the object of `meta` exists although nothing new is known of it.
    pub(crate) fn confirm(&self, meta: &ObjectMeta) {
        let mut state = self.state.write();
        let epoch = state.epoch;
        if let Some(stored) = state.objects.get_mut(&ObjectKey::of_meta(meta))
            && meta.uid.as_deref() == Some(stored.uid.as_ref())
        {
            (stored.epoch, stored.watched) = (epoch, true);
        }
    }

    /// A list begins: what it does not confirm is gone when it ends.
    pub(crate) fn begin_list(&self) {
        let mut state = self.state.write();
        state.epoch = state.epoch.wrapping_add(1);
    }

    /// The list has ended: removes what it did not contain. Values written by this process since it
    /// began count as confirmed; see [`Index::unsure`].
    pub(crate) fn end_list(&self) -> Vec<Change<T>> {
        let changes: Vec<_> = {
            let mut state = self.state.write();
            let epoch = state.epoch;
            let stale: Vec<ObjectKey> = state
                .objects
                .iter()
                .filter(|(_, stored)| stored.epoch != epoch)
                .map(|(key, _)| key.clone())
                .collect();
            stale
                .iter()
                .filter_map(|key| self.take(&mut state, key, Origin::Watch))
                .collect()
        };
        for change in &changes {
            self.notify(Some(change.clone()));
        }
        changes
    }

    /// Values that this process wrote while the current list was read and that neither the list nor an event after it
    /// contained. Either the list is older than the write, or the object was deleted before the list was made; in the
    /// second case no event will follow.
    pub(crate) fn unsure(&self) -> Vec<(ObjectKey, Arc<str>)> {
        let state = self.state.read();
        let unsure = state.objects.iter().filter(|(_, stored)| !stored.watched);
        unsure
            .map(|(key, stored)| (key.clone(), stored.uid.clone()))
            .collect()
    }
}

fn version_of(meta: &ObjectMeta) -> u64 {
    meta.resource_version
        .as_deref()
        .and_then(|text| text.parse().ok())
        .unwrap_or_default()
}
