//! Panics are bugs of this program. One that is caught ends neither the process nor the part for good.

use std::{any::Any, panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;

/// Pause before a part that panicked starts again.
const PAUSE: Duration = Duration::from_secs(5);

/// The message of a panic.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

/// The result of a future, or the message of its panic.
pub(crate) async fn caught<T>(part: impl Future<Output = T>) -> Result<T, String> {
    let ended = AssertUnwindSafe(part).catch_unwind().await;
    ended.map_err(|panic| message(&*panic))
}

/// Runs a part of the process until it ends without a panic. After one it starts again.
pub(crate) async fn restarted<T, F>(part: &str, mut start: impl FnMut() -> F) -> T
where
    F: Future<Output = T>,
{
    loop {
        // In a box, because a future that is handed from one to the other takes its size in each of them.
        match caught(Box::pin(start())).await {
            Ok(done) => return done,
            Err(error) => {
                tracing::error!(
                    part,
                    error,
                    "a task panicked, which is a bug; it starts again"
                );
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_part_that_panics_starts_again_until_it_ends() {
        let mut starts = 0;
        let done = restarted("a part", || {
            starts += 1;
            let count = starts;
            async move {
                assert!(count > 2, "not yet");
                count
            }
        });
        assert_eq!(done.await, 3);
        let error = caught(async { panic!("boom") }).await;
        assert_eq!(error, Err::<(), _>("boom".to_owned()));
    }
}
