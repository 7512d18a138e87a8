//! A port that speaks another protocol than HTTP, with connections from the same budget.

use std::{net::SocketAddr, sync::Arc};

use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Budget, Limits,
    accept::accept,
    budget::Slot,
    connection::{Phase, Progress},
};

/// A port, and within which limits its connections are.
#[derive(Clone, Debug)]
pub struct Gate {
    /// Name of the port in the log.
    pub name: &'static str,
    /// Of these, the number of connections and the time for the header count: a client has to be trusted within it.
    pub limits: Limits,
    /// Limits of all ports that share it.
    pub budget: Budget,
    /// What a client receives for which there is no room.
    pub busy: &'static [u8],
}

/// The client of one connection.
#[derive(Clone, Debug)]
pub struct Client {
    /// Where it is.
    pub address: SocketAddr,
    progress: Arc<Progress>,
}

impl Client {
    /// The client has proved who it is: it has no deadline any more and does not make room for others.
    pub fn trust(&self) {
        self.progress.enter(Phase::Handler);
    }
}

impl Gate {
    /// Serves connections until `stop`; returns when all are closed. A session is dropped at the stop, when its client
    /// is not trusted in time, and when one that is not trusted yet makes room for another connection.
    pub async fn serve<F>(
        self,
        listener: TcpListener,
        stop: CancellationToken,
        session: impl Fn(TcpStream, Client) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (port, tasks) = (self.budget.port(self.limits), TaskTracker::new());
        let refuse = |stream: TcpStream| drop(stream.try_write(self.busy));
        let begin = |stream, address, slot: Slot| {
            let progress = slot.progress.clone();
            let session = session(stream, Client { address, progress });
            let (name, limits) = (self.name, self.limits);
            let (budget, stop) = (self.budget.clone(), stop.clone());
            tasks.spawn(async move {
                tokio::select! {
                    () = session => {}
                    () = slot.progress.expired(&limits) => {
                        budget.rejected("deadline");
                        tracing::debug!(listener = name, client = %address, "the client is not trusted in time");
                    }
                    () = slot.evicted.cancelled() => {}
                    () = stop.cancelled() => {}
                }
            });
        };
        tokio::select! {
            () = accept(&listener, self.name, &port, refuse, begin) => {}
            () = stop.cancelled() => {}
        }
        drop(listener);
        tasks.close();
        tasks.wait().await;
    }
}
