//! Values that the controller answers itself: made when they are asked for, once for all who ask at the same time.

use std::{collections::HashMap, io::Write, sync::Arc, time::Duration};

use flate2::{Compression, write::GzEncoder};
use futures::future::BoxFuture;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::{sync::Semaphore, time::Instant};

use super::key::{LiveKey, Query};

/// Answers that are made at the same time.
const AT_ONCE: usize = 4;
/// Time that an answer may take, with its wait.
const DEADLINE: Duration = Duration::from_secs(20);
/// For so long an answer is as good as a new one.
const FRESH: Duration = Duration::from_millis(500);
/// Largest answer before it is compressed.
const MAX_ANSWER: usize = 64 << 20;

/// Why there is no answer. The text holds no secrets.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum AnswerError {
    /// The cluster or the repository does not give what is needed.
    #[error("{0}")]
    Failed(String),
    /// It took too long.
    #[error("the clusters did not answer within {} s", DEADLINE.as_secs())]
    Late,
    /// The value is too large to be sent.
    #[error("the answer is larger than {} MiB", MAX_ANSWER >> 20)]
    TooLarge,
}

/// Makes the values, as JSON.
pub trait LiveAnswers: Send + Sync + 'static {
    /// The objects of an Application and what they own; `None` when there is no such Application.
    fn tree(&self, instance: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>>;
    /// The objects of an Application on both sides; `None` when there is no such Application.
    fn managed(&self, instance: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>>;
    /// The state of a cluster; `None` when it is not known.
    fn cluster(&self, server: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>>;
}

type Answer = Result<Option<Arc<[u8]>>, AnswerError>;
type Slot = Arc<tokio::sync::Mutex<Option<(Instant, Answer)>>>;
type Name = (Query, bool);
type Slots = Arc<Mutex<HashMap<Name, Slot>>>;

/// The answers of the last moment, and the work on new ones.
pub(super) struct Answers {
    live: Arc<dyn LiveAnswers>,
    permits: Semaphore,
    slots: Slots,
}

impl Answers {
    pub(super) fn new(live: Arc<dyn LiveAnswers>) -> Self {
        Self {
            live,
            permits: Semaphore::new(AT_ONCE),
            slots: Slots::default(),
        }
    }

    /// The value of a key.
    pub(super) async fn get(&self, key: &LiveKey) -> Answer {
        let slot = self.slot((key.query.clone(), key.gzip));
        let answer = tokio::time::timeout(DEADLINE, self.fill(key, &slot)).await;
        answer.unwrap_or(Err(AnswerError::Late))
    }

    fn slot(&self, name: Name) -> Slot {
        let mut slots = self.slots.lock();
        if let Some(known) = slots.get(&name) {
            return known.clone();
        }
        let slot = Slot::default();
        slots.insert(name.clone(), slot.clone());
        tokio::spawn(forget_later(self.slots.clone(), name));
        slot
    }

    async fn fill(&self, key: &LiveKey, slot: &Slot) -> Answer {
        let asked = Instant::now();
        let mut known = slot.lock().await;
        if let Some((at, answer)) = known.as_ref()
            && *at + FRESH > asked
        {
            return answer.clone();
        }
        let began = Instant::now();
        let answer = self.make(key).await;
        *known = Some((began, answer.clone()));
        answer
    }

    async fn make(&self, key: &LiveKey) -> Answer {
        let _permit = self.permits.acquire().await;
        let made = match &key.query {
            Query::Tree(instance) => self.live.tree(instance.clone()).await,
            Query::Managed(instance) => self.live.managed(instance.clone()).await,
            Query::Cluster(server) => self.live.cluster(server.clone()).await,
        };
        let Some(value) = made? else {
            return Ok(None);
        };
        if value.len() > MAX_ANSWER {
            return Err(AnswerError::TooLarge);
        }
        if !key.gzip {
            return Ok(Some(value.into()));
        }
        let packed = tokio::task::spawn_blocking(move || gzip(&value)).await;
        let packed = packed.map_err(|error| AnswerError::Failed(error.to_string()))?;
        Ok(Some(packed.into()))
    }
}

/// Drops an answer once it is no longer new and nobody waits for it.
async fn forget_later(slots: Slots, name: Name) {
    loop {
        tokio::time::sleep(FRESH).await;
        let mut slots = slots.lock();
        let is_used = slots.get(&name).is_some_and(|slot| {
            let is_new = |known: &Option<(Instant, Answer)>| {
                known.as_ref().is_some_and(|(at, _)| at.elapsed() < FRESH)
            };
            Arc::strong_count(slot) > 1 || slot.try_lock().map_or(true, |known| is_new(&known))
        });
        if !is_used {
            slots.remove(&name);
            return;
        }
    }
}

/// The value as clients expect it whose compression is gzip.
fn gzip(value: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory does not fail.
    drop(encoder.write_all(value));
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::FutureExt;

    use super::*;

    #[derive(Default)]
    struct Counted(AtomicUsize);

    impl Counted {
        fn next(&self) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>> {
            let number = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            async move { Ok(Some(number.to_string().into_bytes())) }.boxed()
        }
    }

    impl LiveAnswers for Counted {
        fn tree(&self, _: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>> {
            self.next()
        }

        fn managed(&self, _: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>> {
            futures::future::pending().boxed()
        }

        fn cluster(&self, _: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>> {
            self.next()
        }
    }

    fn key(query: Query) -> LiveKey {
        LiveKey { query, gzip: false }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_serves_all_who_ask_at_the_same_time_and_is_forgotten() {
        let answers = Answers::new(Arc::new(Counted::default()));
        let tree = key(Query::Tree("shop".into()));
        let get = || async {
            answers
                .get(&tree)
                .await
                .map(|value| value.map(|value| value.to_vec()))
        };
        assert_eq!(
            futures::join!(get(), get()),
            (Ok(Some(b"1".to_vec())), Ok(Some(b"1".to_vec())))
        );
        assert_eq!(get().await, Ok(Some(b"1".to_vec())));
        tokio::time::sleep(FRESH).await;
        assert_eq!(get().await, Ok(Some(b"2".to_vec())));
        tokio::time::sleep(FRESH * 4).await;
        assert!(answers.slots.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_does_not_end_is_given_up() {
        let answers = Answers::new(Arc::new(Counted::default()));
        let managed = key(Query::Managed("shop".into()));
        assert_eq!(answers.get(&managed).await, Err(AnswerError::Late));
    }
}
