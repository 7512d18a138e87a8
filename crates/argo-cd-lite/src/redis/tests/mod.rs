//! The server against a client of its own, and against bytes that no client sends.

mod hostile;
mod protocol;
mod revoked;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use parking_lot::{Mutex, RwLock};
use reconcile_core::{
    clock::Clock,
    listen::{Budget, ListenAddress},
};
use tokio_util::sync::CancellationToken;

use super::{AnswerError, KeepRevoked, LiveAnswers, Publisher, RedisServer, RevokedToken};
use crate::tls::Tls;

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

/// Keeps tokens in memory, or fails.
#[derive(Default)]
struct Keeper {
    kept: Mutex<Vec<RevokedToken>>,
    fails: AtomicBool,
}

impl KeepRevoked for Keeper {
    fn keep(&self, tokens: Vec<RevokedToken>) -> BoxFuture<'_, Result<(), String>> {
        let result = if self.fails.load(Ordering::SeqCst) {
            Err("the API server is unreachable".to_owned())
        } else {
            *self.kept.lock() = tokens;
            Ok(())
        };
        async move { result }.boxed()
    }
}

struct Served {
    port: u16,
    live: Arc<OneApp>,
    keeper: Arc<Keeper>,
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
    serve_with(budget, Tls::Off, Vec::new()).await
}

async fn serve_with(budget: Budget, tls: Tls, revoked: Vec<RevokedToken>) -> Served {
    let keeper = Arc::new(Keeper::default());
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
        revoked,
        keeper: keeper.clone(),
        tls,
        stop: stop.clone(),
    };
    let bound = server.bind().await.expect("a port");
    let (port, publisher) = (bound.port(), bound.publisher());
    tokio::spawn(bound.serve());
    Served {
        port,
        live,
        keeper,
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
