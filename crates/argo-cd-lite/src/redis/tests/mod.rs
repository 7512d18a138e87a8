//! The server against a client of its own, and against bytes that no client sends.

mod hostile;
mod protocol;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use parking_lot::RwLock;
use reconcile_core::{
    clock::Clock,
    listen::{Budget, ListenAddress},
};
use tokio_util::sync::CancellationToken;

use super::{AnswerError, LiveAnswers, Publisher, RedisServer};

/// Longest wait for something that must happen.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "hush";

/// Knows one Application, `shop`.
#[derive(Default)]
struct OneApp {
    made: AtomicUsize,
}

impl OneApp {
    fn answer(
        &self,
        name: &str,
        text: &'static str,
    ) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>> {
        self.made.fetch_add(1, Ordering::SeqCst);
        let answer = match name {
            "shop" => Ok(Some(text.as_bytes().to_vec())),
            "broken" => Err(AnswerError::Failed(
                "the cluster does not answer".to_owned(),
            )),
            _ => Ok(None),
        };
        async move { answer }.boxed()
    }
}

impl LiveAnswers for OneApp {
    fn tree(&self, instance: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>> {
        self.answer(&instance, r#"{"nodes":[]}"#)
    }

    fn managed(&self, instance: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>> {
        self.answer(&instance, "[]")
    }

    fn cluster(&self, server: String) -> BoxFuture<'_, Result<Option<Vec<u8>>, AnswerError>> {
        self.answer(&server, "{}")
    }
}

struct Served {
    port: u16,
    live: Arc<OneApp>,
    publisher: Publisher,
    budget: Budget,
    stop: CancellationToken,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve() -> Served {
    serve_within(Budget::new(2000, 1 << 20)).await
}

async fn serve_within(budget: Budget) -> Served {
    let (live, stop) = (Arc::new(OneApp::default()), CancellationToken::new());
    let server = RedisServer {
        listen: ListenAddress {
            address: Some([127, 0, 0, 1].into()),
            port: 0,
        },
        budget: budget.clone(),
        password: Arc::new(RwLock::new(Some(PASSWORD.into()))),
        cache_version: "1.8.3".to_owned(),
        clock: Clock::system(),
        live: live.clone(),
        stop: stop.clone(),
    };
    let bound = server.bind().await.expect("a port");
    let (port, publisher) = (bound.port(), bound.publisher());
    tokio::spawn(bound.serve());
    Served {
        port,
        live,
        publisher,
        budget,
        stop,
    }
}

/// Ends with the future, or fails.
async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.unwrap_or_else(|_| panic!("not in time: {what}"))
}
