//! Tokens that end: kept while they are good, and asked for again.

use futures::future::BoxFuture;
use http::HeaderValue;
use jiff::{SignedDuration, Timestamp};
use reconcile_core::{
    client::{TokenError, TokenSource},
    clock::Clock,
};

/// A token is asked for again this long before it ends.
const EARLY: SignedDuration = SignedDuration::from_secs(60);
/// A failure is not tried again for this time: a hundred Applications ask at once.
const PAUSE: SignedDuration = SignedDuration::from_secs(5);

/// Gives a new token at each call. No error quotes a secret.
pub(super) trait TokenProvider: Send + Sync {
    fn token(&self) -> BoxFuture<'_, Result<Token, TokenError>>;
}

/// A token of an API server.
#[derive(Clone, Debug)]
pub(super) struct Token {
    /// The value of the `Authorization` header.
    pub(super) authorization: HeaderValue,
    /// Without an end until the server refuses it.
    pub(super) until: Option<Timestamp>,
}

impl Token {
    /// `None` for a text that no header can hold.
    pub(super) fn bearer(token: &str, until: Option<Timestamp>) -> Option<Self> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).ok()?;
        authorization.set_sensitive(true);
        Some(Self {
            authorization,
            until,
        })
    }
}

/// What the last call gave.
enum Last {
    Nothing,
    Token(Token),
    Failed(TokenError, Timestamp),
}

/// The tokens of one provider; a call at a time, whose result all requests take.
pub(super) struct KeptTokens {
    provider: Box<dyn TokenProvider>,
    clock: Clock,
    last: tokio::sync::Mutex<Last>,
    refused: parking_lot::Mutex<Option<HeaderValue>>,
}

impl KeptTokens {
    pub(super) fn new(provider: Box<dyn TokenProvider>, clock: Clock) -> Self {
        Self {
            provider,
            clock,
            last: tokio::sync::Mutex::new(Last::Nothing),
            refused: parking_lot::Mutex::default(),
        }
    }

    fn is_usable(&self, token: &Token, now: Timestamp) -> bool {
        let refused = self.refused.lock().as_ref() == Some(&token.authorization);
        !refused && token.until.is_none_or(|until| until - EARLY > now)
    }
}

impl TokenSource for KeptTokens {
    fn authorization(&self) -> BoxFuture<'_, Result<HeaderValue, TokenError>> {
        Box::pin(async {
            let mut last = self.last.lock().await;
            let now = self.clock.now();
            match &*last {
                Last::Token(token) if self.is_usable(token, now) => {
                    return Ok(token.authorization.clone());
                }
                Last::Failed(error, at) if now.duration_since(*at) < PAUSE => {
                    return Err(error.clone());
                }
                _ => {}
            }
            match self.provider.token().await {
                Ok(token) => {
                    let authorization = token.authorization.clone();
                    *self.refused.lock() = None;
                    *last = Last::Token(token);
                    Ok(authorization)
                }
                Err(error) => {
                    *last = Last::Failed(error.clone(), self.clock.now());
                    Err(error)
                }
            }
        })
    }

    fn rejected(&self, authorization: &HeaderValue) {
        *self.refused.lock() = Some(authorization.clone());
    }
}
