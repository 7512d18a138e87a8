//! What a repository may cost, and the watch over a running transfer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use gix::progress::{Id, MessageLevel, Step, StepShared, Unit};

use crate::FetchError;

/// Asks a running call to stop.
pub type Interrupt = Arc<AtomicBool>;

/// Limits of one repository. Everything that a server or a commit can make large has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GitLimits {
    /// Bytes of the list of refs.
    pub list_bytes: u64,
    /// Bytes of one pack as it is received.
    pub pack_bytes: u64,
    /// Objects in one pack.
    pub objects: u64,
    /// Bytes of one object after inflation.
    pub object_bytes: u64,
    /// Bytes of all objects of one pack after inflation.
    pub inflated_bytes: u64,
    /// Bytes of one folder object that is searched for a path.
    pub tree_bytes: u64,
    /// Entries that are read below a source path.
    pub entries: usize,
    /// Files that are read from a source path.
    pub files: usize,
    /// Folders below each other.
    pub depth: usize,
}

impl Default for GitLimits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            list_bytes: 64 * MIB,
            pack_bytes: 512 * MIB,
            objects: 2_000_000,
            object_bytes: 128 * MIB,
            inflated_bytes: 4096 * MIB,
            tree_bytes: 16 * MIB,
            entries: 500_000,
            files: 20_000,
            depth: 64,
        }
    }
}

/// Watches one transfer and interrupts it when it exceeds a limit.
#[derive(Clone, Debug)]
pub(crate) struct Watch {
    limits: GitLimits,
    interrupt: Interrupt,
    received: Arc<AtomicU64>,
    packed: Arc<AtomicU64>,
    inflated: Arc<AtomicU64>,
    exceeded: Arc<parking_lot::Mutex<Option<FetchError>>>,
}

impl Watch {
    pub(crate) fn new(limits: GitLimits, interrupt: &Interrupt) -> Self {
        Self {
            limits,
            interrupt: interrupt.clone(),
            received: Arc::default(),
            packed: Arc::default(),
            inflated: Arc::default(),
            exceeded: Arc::default(),
        }
    }

    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    pub(crate) fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Counts bytes of answers. `limit` is that of the request at hand.
    pub(crate) fn received(&self, bytes: u64, what: &'static str, limit: u64) {
        let all = self.received.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.check(all, limit, what);
    }

    /// Notes why the transfer fails; the first reason counts.
    pub(crate) fn fail(&self, error: FetchError) {
        self.exceeded.lock().get_or_insert(error);
    }

    /// The error to report: the limit that was exceeded, or else `error`.
    pub(crate) fn explain(&self, error: FetchError) -> FetchError {
        self.exceeded.lock().clone().unwrap_or(error)
    }

    pub(crate) fn progress(&self) -> TransferProgress {
        TransferProgress {
            watch: self.clone(),
            id: gix::progress::UNKNOWN,
            step: StepShared::default(),
        }
    }

    fn check(&self, value: u64, limit: u64, what: &'static str) {
        if value > limit {
            self.exceeded
                .lock()
                .get_or_insert(FetchError::Exceeds { what, limit });
            self.interrupt.store(true, Ordering::SeqCst);
        }
    }

    fn count(&self, id: Id, step: Step) {
        let step = u64::try_from(step).unwrap_or(u64::MAX);
        if id == PACK_BYTES {
            let all = self.packed.fetch_add(step, Ordering::Relaxed) + step;
            self.check(all, self.limits.pack_bytes, "bytes in a pack");
        } else if id == INFLATED_BYTES {
            let all = self.inflated.fetch_add(step, Ordering::Relaxed) + step;
            self.check(all, self.limits.inflated_bytes, "bytes of inflated objects");
        }
    }
}

/// Ids under which gix reports the bytes it reads, the objects it indexes and the bytes it inflates.
const PACK_BYTES: Id = *b"BWRB";
const OBJECTS: Id = *b"IWIO";
const INFLATED_BYTES: Id = *b"IWDB";

/// Listens to what gix reports while it receives a pack.
pub(crate) struct TransferProgress {
    watch: Watch,
    id: Id,
    step: StepShared,
}

impl gix::Count for TransferProgress {
    fn set(&self, step: Step) {
        let before = self.step.swap(step, Ordering::Relaxed);
        self.watch.count(self.id, step.saturating_sub(before));
    }

    fn step(&self) -> Step {
        self.step.load(Ordering::Relaxed)
    }

    fn inc_by(&self, step: Step) {
        self.step.fetch_add(step, Ordering::Relaxed);
        self.watch.count(self.id, step);
    }

    fn counter(&self) -> StepShared {
        self.step.clone()
    }
}

impl gix::Progress for TransferProgress {
    fn init(&mut self, max: Option<Step>, _unit: Option<Unit>) {
        if self.id == OBJECTS
            && let Some(max) = max
        {
            let objects = u64::try_from(max).unwrap_or(u64::MAX);
            self.watch
                .check(objects, self.watch.limits.objects, "objects in a pack");
        }
    }

    fn set_name(&mut self, _name: String) {}

    fn name(&self) -> Option<String> {
        None
    }

    fn id(&self) -> Id {
        self.id
    }

    fn message(&self, _level: MessageLevel, _message: String) {}
}

impl gix::NestedProgress for TransferProgress {
    type SubProgress = Self;

    fn add_child(&mut self, _name: impl Into<String>) -> Self {
        self.add_child_with_id("", gix::progress::UNKNOWN)
    }

    fn add_child_with_id(&mut self, _name: impl Into<String>, id: Id) -> Self {
        Self {
            watch: self.watch.clone(),
            id,
            step: StepShared::default(),
        }
    }
}
