//! Request bodies that count against the port and the budget, and have a deadline.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use axum::BoxError;
use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Sleep, sleep},
};

use super::{
    budget::Port,
    connection::{Phase, Progress},
};

/// Why a body was not read to its end.
#[derive(Clone, Copy, Debug, Error)]
pub(super) enum Refusal {
    #[error("the request bodies in progress use all the memory that is set aside for them")]
    NoRoom,
    #[error("the request body took too long")]
    Late,
    #[error("the request body is larger than all the memory that is set aside for bodies")]
    TooLarge,
}

impl Refusal {
    pub(super) fn status(self) -> StatusCode {
        match self {
            Self::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            Self::Late => StatusCode::REQUEST_TIMEOUT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        }
    }

    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::NoRoom => "bytes",
            Self::Late => "body_deadline",
            Self::TooLarge => "body_size",
        }
    }
}

/// The bytes that one request holds, until the last clone is dropped.
#[derive(Clone)]
pub(super) struct Meter(Arc<Held>);

struct Held {
    port: Arc<Port>,
    permits: Mutex<Vec<OwnedSemaphorePermit>>,
    refusal: OnceLock<Refusal>,
}

impl Meter {
    pub(super) fn new(port: Arc<Port>) -> Self {
        Self(Arc::new(Held {
            port,
            permits: Mutex::default(),
            refusal: OnceLock::new(),
        }))
    }

    pub(super) fn refusal(&self) -> Option<Refusal> {
        self.0.refusal.get().copied()
    }

    fn refuse(&self, refusal: Refusal) -> Refusal {
        self.0.port.budget.rejected(refusal.reason());
        *self.0.refusal.get_or_init(|| refusal)
    }

    /// Refuses a body that can never fit.
    pub(super) fn check_size(&self, hint: &SizeHint) -> Result<(), Refusal> {
        let most = u64::try_from(self.0.port.most_bytes()).unwrap_or(u64::MAX);
        if hint.lower() > most {
            return Err(self.refuse(Refusal::TooLarge));
        }
        Ok(())
    }

    fn take(&self, length: usize) -> Result<(), Refusal> {
        let count = u32::try_from(length).map_err(|_| self.refuse(Refusal::TooLarge))?;
        let mut permits = self.0.permits.lock();
        let pools = [&self.0.port.bytes, self.0.port.budget.all_bytes()];
        for (index, pool) in pools.into_iter().enumerate() {
            let permit = pool
                .clone()
                .try_acquire_many_owned(count)
                .map_err(|_| self.refuse(Refusal::NoRoom))?;
            match permits.get_mut(index) {
                Some(held) => held.merge(permit),
                None => permits.push(permit),
            }
        }
        Ok(())
    }
}

/// A request's body.
pub(super) struct Metered {
    inner: Incoming,
    meter: Meter,
    progress: Arc<Progress>,
    deadline: Pin<Box<Sleep>>,
}

impl Metered {
    pub(super) fn new(inner: Incoming, meter: Meter, progress: Arc<Progress>) -> Self {
        let deadline = Box::pin(sleep(meter.0.port.limits.body));
        let metered = Self {
            inner,
            meter,
            progress,
            deadline,
        };
        metered.progress.enter(if metered.inner.is_end_stream() {
            Phase::Handler
        } else {
            Phase::Body
        });
        metered
    }
}

impl Body for Metered {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(refusal) = self.meter.refusal() {
            return Poll::Ready(Some(Err(refusal.into())));
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            let refusal = self.meter.refuse(Refusal::Late);
            return Poll::Ready(Some(Err(refusal.into())));
        }
        let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)).transpose()? else {
            self.progress.enter(Phase::Handler);
            return Poll::Ready(None);
        };
        if let Some(data) = frame.data_ref() {
            self.meter.take(data.len())?;
        }
        if self.inner.is_end_stream() {
            self.progress.enter(Phase::Handler);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
