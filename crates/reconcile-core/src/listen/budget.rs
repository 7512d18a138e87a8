//! How much clients may take of a port and of the process.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{connection::Progress, limits::Limits};

/// Most connections of a process on all ports that foreign clients reach. Each holds up to two buffers.
const MOST_CONNECTIONS: usize = 2048;
/// Descriptors that listeners leave to the API server, the bus, Git and the probes, where the limit allows it.
const RESERVED_DESCRIPTORS: u64 = 512;
/// Bytes of request bodies in memory at a time, on all ports.
const MOST_BYTES: usize = 64 << 20;
/// How long a new connection or body waits for those that make room for it to close.
pub(super) const MAKE_ROOM: Duration = Duration::from_secs(1);

/// What clients may take of all ports that share the budget. Clones share it.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Most connections, however few ports are open.
    connections: usize,
    /// Most sockets: the connections and one for each port.
    sockets: usize,
    bytes: Arc<Semaphore>,
    most_bytes: usize,
    table: Mutex<Table>,
    freed: Notify,
    open: IntGauge,
    rejected: IntCounterVec,
}

#[derive(Debug, Default)]
struct Table {
    /// Number of the next port and of the next connection.
    next: u64,
    /// Ports that listen.
    ports: usize,
    open: BTreeMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    port: u64,
    progress: Arc<Progress>,
    evict: CancellationToken,
}

/// One port of a budget.
#[derive(Debug)]
pub(super) struct Port {
    id: u64,
    pub(super) limits: Limits,
    bytes: Arc<Semaphore>,
    pub(super) budget: Budget,
}

/// What the bytes of a body count against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// The limit of its port.
    Port,
    /// The budget of all ports.
    All,
}

/// The right to hold one connection; released on drop.
#[derive(Debug)]
pub(super) struct Slot {
    id: u64,
    budget: Budget,
    pub(super) progress: Arc<Progress>,
    /// Cancelled when the connection has to make room for another one.
    pub(super) evicted: CancellationToken,
}

impl Budget {
    /// A budget of so many connections and bytes of request bodies, whatever number of ports is open.
    pub fn new(connections: usize, bytes: usize) -> Self {
        Self::of(connections, usize::MAX, bytes)
    }

    /// The budget of a process that may have `descriptors` files open; `None` means any number. Each port that is open
    /// takes one descriptor of those that connections may have.
    pub fn for_descriptors(descriptors: Option<u64>) -> Self {
        let descriptors = descriptors.unwrap_or(u64::MAX);
        let free = descriptors - RESERVED_DESCRIPTORS.min(descriptors / 2);
        let sockets = usize::try_from(free).unwrap_or(usize::MAX);
        Self::of(sockets.min(MOST_CONNECTIONS), sockets, MOST_BYTES)
    }

    fn of(connections: usize, sockets: usize, bytes: usize) -> Self {
        let open = IntGauge::new(
            "http_listener_connections",
            "Open connections on the ports that foreign clients reach.",
        );
        let rejected = IntCounterVec::new(
            Opts::new(
                "http_listener_rejected_total",
                "Connections and requests that were rejected because a limit was reached, by reason.",
            ),
            &["reason"],
        );
        Self(Arc::new(Inner {
            connections,
            sockets,
            bytes: Arc::new(Semaphore::new(bytes)),
            most_bytes: bytes,
            table: Mutex::default(),
            freed: Notify::new(),
            open: open.expect("the name is valid"),
            rejected: rejected.expect("the names are valid"),
        }))
    }

    /// Registers `http_listener_connections` and `http_listener_rejected_total{reason}`.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        registry.register(Box::new(self.0.open.clone()))?;
        registry.register(Box::new(self.0.rejected.clone()))
    }

    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.0.table.lock().open.len()
    }

    /// Connections whose client is the one to act.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        let table = self.0.table.lock();
        let entries = table.open.values();
        entries
            .filter(|entry| entry.progress.waiting_since().is_some())
            .count()
    }

    /// Connections that may be open beside the ports that are.
    #[cfg(test)]
    pub(super) fn most_connections(&self) -> usize {
        self.0.most_connections(&self.0.table.lock())
    }

    /// Ports that may be open together, so that as many sockets at least are left to connections.
    pub fn most_ports(&self) -> usize {
        self.0.sockets / 2
    }

    /// Bytes of request bodies that are in memory now.
    pub fn bytes(&self) -> usize {
        self.0.most_bytes - self.0.bytes.available_permits()
    }

    pub(super) fn port(&self, limits: Limits) -> Port {
        let mut table = self.0.table.lock();
        table.next += 1;
        table.ports += 1;
        Port {
            id: table.next,
            limits,
            bytes: Arc::new(Semaphore::new(limits.bytes)),
            budget: self.clone(),
        }
    }

    pub(super) fn rejected(&self, reason: &str) {
        self.0.rejected.with_label_values(&[reason]).inc();
    }
}

impl Inner {
    fn most_connections(&self, table: &Table) -> usize {
        self.connections
            .min(self.sockets.saturating_sub(table.ports))
    }
}

impl Port {
    /// Bytes that a single body can have at most.
    pub(super) fn most_bytes(&self) -> usize {
        self.limits.bytes.min(self.budget.0.most_bytes)
    }

    pub(super) fn pool(&self, scope: Scope) -> &Arc<Semaphore> {
        match scope {
            Scope::Port => &self.bytes,
            Scope::All => &self.budget.0.bytes,
        }
    }

    /// A slot for a new connection. At the bound the connection that has waited longest for its client makes room:
    /// on this port when the port is full, otherwise on the port with the most connections. `None` when none waits.
    pub(super) async fn enter(&self) -> Option<Slot> {
        let budget = &self.budget.0;
        let room = async {
            loop {
                let freed = budget.freed.notified();
                tokio::pin!(freed);
                // Registered before the look, so that a slot that is freed in between is not missed.
                freed.as_mut().enable();
                match self.try_enter() {
                    Ok(slot) => return Some(slot),
                    Err(None) => return None,
                    Err(Some(evict)) => {
                        self.budget.rejected("evicted");
                        evict.cancel();
                        freed.await;
                    }
                }
            }
        };
        let slot = tokio::time::timeout(MAKE_ROOM, room).await.ok().flatten();
        if slot.is_none() {
            self.budget.rejected("connections");
        }
        slot
    }

    /// Makes room for `count` bytes of the body of `own`: closes the connections whose bodies have used most, in bytes
    /// times their age, of this port or of all ports. False when those that used more than `own` do not hold enough.
    pub(super) fn evict_bodies(&self, scope: Scope, count: usize, own: &Arc<Progress>) -> bool {
        let table = self.budget.0.table.lock();
        let (_, limit) = own.body_use().unwrap_or_default();
        let mut bodies: Vec<_> = table
            .open
            .values()
            .filter(|entry| scope == Scope::All || entry.port == self.id)
            .filter(|entry| !entry.evict.is_cancelled() && !Arc::ptr_eq(&entry.progress, own))
            .filter_map(|entry| Some((entry.progress.body_use()?, entry)))
            .filter(|((bytes, used), _)| *bytes > 0 && *used > limit)
            .collect();
        bodies.sort_by_key(|((_, used), _)| std::cmp::Reverse(*used));
        let mut freed = 0;
        let enough = bodies.iter().position(|((bytes, _), _)| {
            freed += bytes;
            freed >= count
        });
        let Some(last) = enough else {
            return false;
        };
        for (_, entry) in bodies.into_iter().take(last + 1) {
            self.budget.rejected("evicted");
            entry.evict.cancel();
        }
        true
    }

    fn try_enter(&self) -> Result<Slot, Option<CancellationToken>> {
        let mut table = self.budget.0.table.lock();
        let counts = table.counts();
        let own = counts.get(&self.id).copied().unwrap_or_default();
        if own >= self.limits.connections {
            return Err(table.longest_waiting(self.id));
        }
        if table.open.len() >= self.budget.0.most_connections(&table) {
            let mut ports: Vec<_> = counts.into_iter().collect();
            ports.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
            let mut ports = ports.into_iter();
            return Err(ports.find_map(|(port, _)| table.longest_waiting(port)));
        }
        table.next += 1;
        let id = table.next;
        let (progress, evicted) = (Arc::new(Progress::new()), CancellationToken::new());
        let entry = Entry {
            port: self.id,
            progress: progress.clone(),
            evict: evicted.clone(),
        };
        table.open.insert(id, entry);
        self.budget.0.open.inc();
        Ok(Slot {
            id,
            budget: self.budget.clone(),
            progress,
            evicted,
        })
    }
}

impl Table {
    fn counts(&self) -> HashMap<u64, usize> {
        let mut counts = HashMap::new();
        for entry in self.open.values() {
            *counts.entry(entry.port).or_default() += 1;
        }
        counts
    }

    fn longest_waiting(&self, port: u64) -> Option<CancellationToken> {
        self.open
            .values()
            .filter(|entry| entry.port == port && !entry.evict.is_cancelled())
            .filter_map(|entry| Some((entry.progress.waiting_since()?, entry)))
            .min_by_key(|(since, _)| *since)
            .map(|(_, entry)| entry.evict.clone())
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.budget.0.table.lock().ports -= 1;
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.budget.0.table.lock().open.remove(&self.id);
        self.budget.0.open.dec();
        self.budget.0.freed.notify_waiters();
    }
}
