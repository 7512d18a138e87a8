//! Threads for blocking work: Git transfers, reads of the object store, rendering.
//!
//! Each pool has a fixed number of threads. A permit belongs to the thread and comes back when the thread ends,
//! not when the caller stops waiting. A server that never answers therefore holds threads of this pool only; name
//! resolution and the rest of the process keep theirs.

use std::{sync::atomic::Ordering, time::Duration};

use prometheus::IntGauge;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::{
    Interrupt,
    permits::{Permit, Permits, Share, Sharing},
};

/// How long a call waits for a free thread.
const QUEUE_DEADLINE: Duration = Duration::from_secs(60);

/// Blocking work without a result.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PoolError {
    /// All threads are busy.
    #[error("all {0} threads of the pool are busy")]
    Busy(&'static str),
    /// The call takes longer than its deadline. Its thread is asked to stop.
    #[error("no result within {} s", .0.as_secs())]
    Late(Duration),
    /// The thread panicked or could not start.
    #[error("the {0} thread failed: {1}")]
    Lost(&'static str, String),
}

/// A bounded number of threads. Cloning shares them.
#[derive(Clone, Debug)]
pub struct Pool {
    name: &'static str,
    permits: Permits,
    busy: IntGauge,
}

/// Sets the flag when the caller stops waiting, for whatever reason.
struct StopOnDrop(Interrupt);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Pool {
    /// A pool of `threads` threads, all of which may run; `busy` shows how many do.
    pub fn new(name: &'static str, threads: usize, busy: IntGauge) -> Self {
        Self {
            name,
            permits: Permits::new(threads, Sharing::UseAll),
            busy,
        }
    }

    /// As [`Self::new`], for calls to servers that may take long: no host and no project gets all threads.
    pub fn shared(name: &'static str, threads: usize, busy: IntGauge) -> Self {
        Self {
            name,
            permits: Permits::new(threads, Sharing::LeaveFree),
            busy,
        }
    }

    /// Runs `call` on a thread of the pool and waits up to `deadline` for its result. The flag that `call` gets is
    /// set when nobody waits any longer.
    pub async fn run<T: Send + 'static>(
        &self,
        deadline: Duration,
        call: impl FnOnce(&Interrupt) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        self.run_for(Share::default(), deadline, call).await
    }

    /// As [`Self::run`], on a thread that counts for `share`.
    pub async fn run_for<T: Send + 'static>(
        &self,
        share: Share,
        deadline: Duration,
        call: impl FnOnce(&Interrupt) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let permit = tokio::time::timeout(QUEUE_DEADLINE, self.permits.acquire(share))
            .await
            .map_err(|_| PoolError::Busy(self.name))?;
        let stop = StopOnDrop(Interrupt::default());
        let flag = stop.0.clone();
        let (give, result) = oneshot::channel();
        let running = Running::new(permit, self.busy.clone());
        std::thread::Builder::new()
            .name(self.name.to_owned())
            .spawn(move || {
                let value = call(&flag);
                drop(running);
                drop(give.send(value));
            })
            .map_err(|error| PoolError::Lost(self.name, error.to_string()))?;
        match tokio::time::timeout(deadline, result).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) => Err(PoolError::Lost(self.name, "it panicked".to_owned())),
            Err(_) => Err(PoolError::Late(deadline)),
        }
    }
}

/// What a thread holds while it runs; a panic gives it back, too.
struct Running {
    _permit: Permit,
    busy: IntGauge,
}

impl Running {
    fn new(permit: Permit, busy: IntGauge) -> Self {
        busy.inc();
        Self {
            _permit: permit,
            busy,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.busy.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(threads: usize) -> Pool {
        Pool::new(
            "test",
            threads,
            IntGauge::new("busy", "busy").expect("a gauge"),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_call_keeps_its_permit_until_its_thread_ends() {
        let pool = pool(1);
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let (reported, interrupted) = std::sync::mpsc::channel();
        let late = pool
            .run(Duration::from_millis(1), move |flag| {
                wait.recv().unwrap_or_default();
                reported
                    .send(flag.load(Ordering::SeqCst))
                    .expect("the test listens");
            })
            .await;
        assert_eq!(late, Err(PoolError::Late(Duration::from_millis(1))));
        assert_eq!(pool.permits.free(), 0, "the thread still runs");
        assert_eq!(pool.busy.get(), 1);
        let second = pool.run(Duration::from_secs(1), |_| ()).await;
        assert_eq!(second, Err(PoolError::Busy("test")));
        drop(release);
        assert!(
            interrupted.recv().expect("the call ends"),
            "it was asked to stop"
        );
        tokio::time::resume();
        assert_eq!(pool.run(Duration::from_secs(9), |_| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_panic_gives_the_permit_back() {
        let pool = pool(1);
        let lost = pool.run(Duration::from_secs(9), |_| panic!("boom")).await;
        assert!(
            matches!(lost, Err::<(), _>(PoolError::Lost(..))),
            "{lost:?}"
        );
        assert_eq!(pool.run(Duration::from_secs(9), |_| 7).await, Ok(7));
    }
}
