//! The right to act for some objects.

use std::{fmt, sync::Arc};

use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::operator::Role;

/// The right to act for the objects of a shard, or for all objects. Clones share it.
#[derive(Clone)]
pub struct Claim(Arc<State>);

struct State {
    role: Role,
    leaving: CancellationToken,
    lost: CancellationToken,
    work: TaskTracker,
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Claim").field(&self.0.role).finish()
    }
}

impl Claim {
    /// The claim of a role that is not handed over, such as that of a leader: its loss ends the process or only its
    /// writes, as the role says.
    pub fn of_role(role: Role) -> Self {
        let work = TaskTracker::new();
        work.close();
        Self(Arc::new(State {
            role,
            leaving: CancellationToken::new(),
            lost: CancellationToken::new(),
            work,
        }))
    }

    /// The role, whose clients write while the lease is held.
    pub fn role(&self) -> &Role {
        &self.0.role
    }

    /// Cancelled when work must end, because the shard is handed over or its lease is about to be lost: begin nothing,
    /// finish what was begun.
    pub fn leaving(&self) -> &CancellationToken {
        &self.0.leaving
    }

    /// Cancelled when the lease is lost or the time for a hand-over is up: drop what is unfinished.
    pub fn lost(&self) -> &CancellationToken {
        &self.0.lost
    }

    /// Holds up the hand-over until it is dropped.
    pub fn work(&self) -> TaskTrackerToken {
        self.0.work.token()
    }

    /// Ends when no token of [`Claim::work`] is left.
    pub async fn idle(&self) {
        self.0.work.wait().await;
    }

    /// True for clones of one claim. A shard that comes back is another claim.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
