//! A port that speaks another protocol than HTTP, with connections from the same budget.

use std::sync::Arc;

use super::{
    Budget, Limits,
    budget::{Port, Slot},
    connection::Phase,
};

/// Admits the connections of one port.
#[derive(Debug)]
pub struct Gate(Arc<Port>);

/// The right to hold one connection; released on drop.
#[derive(Debug)]
pub struct Admission {
    slot: Slot,
    limits: Limits,
}

impl Budget {
    /// A port within this budget. Of `limits`, the number of connections and the time for the header count.
    pub fn gate(&self, limits: Limits) -> Gate {
        Gate(Arc::new(self.port(limits)))
    }
}

impl Gate {
    /// Admits a connection. At the bound, one that has not been trusted yet makes room; `None` when there is none.
    pub async fn enter(&self) -> Option<Admission> {
        let slot = self.0.enter().await?;
        Some(Admission {
            slot,
            limits: self.0.limits,
        })
    }
}

impl Admission {
    /// The client has proved who it is: it has no deadline any more and does not make room for others.
    pub fn trust(&self) {
        self.slot.progress.enter(Phase::Handler);
    }

    /// Ends when the connection has to: its client was not trusted within the time for the header, or it makes room
    /// for another one.
    pub async fn ended(&self) {
        tokio::select! {
            () = self.slot.progress.expired(&self.limits) => {}
            () = self.slot.evicted.cancelled() => {}
        }
    }
}
