//! Revoked tokens. They have a store of their own, from which nothing makes room for anything else, and somebody keeps
//! them over a restart: a token that counts again after its logout would be worse than a logout that fails.

use std::{sync::Arc, time::Duration};

use futures::future::BoxFuture;
use jiff::Timestamp;

use super::{
    command::SetCommand,
    store::{Condition, Store},
};

/// What their keys begin with; the id of the token follows.
const PREFIX: &[u8] = b"revoked-token|";
/// Longest id.
const MAX_ID: usize = 256;
/// Tokens at the same time.
const MAX_TOKENS: usize = 5000;
/// Bytes of the store, which is never full before [`MAX_TOKENS`].
const BYTES: usize = 16 << 20;
/// Bytes of a value; Argo CD writes none.
const MAX_VALUE: usize = 64;
/// Time for keeping them.
const DEADLINE: Duration = Duration::from_secs(15);

/// A token that does not count any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokedToken {
    /// Its id.
    pub id: String,
    /// When it would end by itself, and is forgotten.
    pub expires: Timestamp,
}

/// Keeps revoked tokens.
pub trait KeepRevoked: Send + Sync + 'static {
    /// Keeps these ones, and no others.
    fn keep(&self, tokens: Vec<RevokedToken>) -> BoxFuture<'_, Result<(), String>>;
}

/// Whether a key is that of a revoked token.
pub(super) fn is_revoked(key: &[u8]) -> bool {
    key.starts_with(PREFIX)
}

/// The revoked tokens of a server.
pub(super) struct Revoked {
    pub(super) store: Store,
    keeper: Arc<dyn KeepRevoked>,
    /// One write at a time, so that none overtakes another.
    turn: tokio::sync::Mutex<()>,
}

impl Revoked {
    /// With the tokens that were kept.
    pub(super) fn new(kept: &[RevokedToken], keeper: Arc<dyn KeepRevoked>, now: Timestamp) -> Self {
        let store = Store::new(BYTES);
        for token in kept.iter().filter(|token| token.expires > now) {
            let key = [PREFIX, token.id.as_bytes()].concat();
            // It has room for all.
            let _fits = store.set(&key, b"", Some(token.expires), Condition::Always, now);
        }
        Self {
            store,
            keeper,
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Revokes a token. It is kept when this returns without an error.
    pub(super) async fn set(
        &self,
        set: &SetCommand,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, String> {
        let id = set.key.get(PREFIX.len()..).unwrap_or_default();
        let is_id = !id.is_empty() && id.len() <= MAX_ID && std::str::from_utf8(id).is_ok();
        if !is_id || set.value.len() > MAX_VALUE {
            return Err("this is no id of a token".to_owned());
        }
        let Some(expires) = expires else {
            return Err("a revoked token has an end: EX or PX".to_owned());
        };
        let _turn = self.turn.lock().await;
        let known = self.store.keys(|_| true, now).len();
        if known >= MAX_TOKENS && !self.store.contains(&set.key, now) {
            return Err(format!("{MAX_TOKENS} tokens are revoked already"));
        }
        let stored = self
            .store
            .set(&set.key, &set.value, Some(expires), set.condition, now);
        if !stored.map_err(|_| "there is no room".to_owned())? {
            return Ok(false);
        }
        // It does not count from now on, also when it cannot be kept.
        let kept = tokio::time::timeout(DEADLINE, self.keeper.keep(self.tokens(now))).await;
        match kept {
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => Err(format!("cannot keep the revoked token: {error}")),
            Err(_) => Err("cannot keep the revoked token in time".to_owned()),
        }
    }

    fn tokens(&self, now: Timestamp) -> Vec<RevokedToken> {
        let keys = self.store.keys(|_| true, now).into_iter();
        let tokens = keys.filter_map(|key| {
            let id = std::str::from_utf8(key.get(PREFIX.len()..)?).ok()?;
            Some(RevokedToken {
                id: id.to_owned(),
                expires: self.store.expires(&key, now)?,
            })
        });
        tokens.collect()
    }
}
