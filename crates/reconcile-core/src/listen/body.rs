//! Request bodies that count against the port and the budget, and have a deadline.
//!
//! When there is no room, the bodies that have used most of it make room: so many slow bodies, on however many ports,
//! do not keep others from being served.

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
    budget::{MAKE_ROOM, Port, Scope},
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
    progress: Arc<Progress>,
    /// Of the port and of the budget.
    permits: Mutex<[Option<OwnedSemaphorePermit>; 2]>,
    refusal: OnceLock<Refusal>,
}

impl Meter {
    pub(super) fn new(port: Arc<Port>, progress: Arc<Progress>) -> Self {
        progress.begin_body();
        Self(Arc::new(Held {
            port,
            progress,
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

    /// Takes room for `count` bytes; false when there is none.
    fn try_take(&self, count: u32) -> bool {
        let port = &self.0.port;
        let pools = [Scope::Port, Scope::All].map(|scope| port.pool(scope).clone());
        let [own, all] = pools.map(|pool| pool.try_acquire_many_owned(count));
        let (Ok(own), Ok(all)) = (own, all) else {
            return false;
        };
        self.hold(count, [own, all]);
        true
    }

    /// As [`Meter::try_take`], and has other bodies make room.
    async fn take(self, count: u32) -> Result<(), Refusal> {
        let own = self.room(Scope::Port, count).await?;
        let all = self.room(Scope::All, count).await?;
        self.hold(count, [own, all]);
        Ok(())
    }

    async fn room(&self, scope: Scope, count: u32) -> Result<OwnedSemaphorePermit, Refusal> {
        let (port, progress) = (&self.0.port, &self.0.progress);
        let pool = port.pool(scope);
        if let Ok(permit) = pool.clone().try_acquire_many_owned(count) {
            return Ok(permit);
        }
        let bytes = usize::try_from(count).unwrap_or(usize::MAX);
        if !port.evict_bodies(scope, bytes, progress) {
            return Err(self.refuse(Refusal::NoRoom));
        }
        let room = pool.clone().acquire_many_owned(count);
        match tokio::time::timeout(MAKE_ROOM, room).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(self.refuse(Refusal::NoRoom)),
        }
    }

    fn hold(&self, count: u32, taken: [OwnedSemaphorePermit; 2]) {
        let bytes = usize::try_from(count).unwrap_or(usize::MAX);
        self.0.progress.hold(bytes);
        for (held, permit) in self.0.permits.lock().iter_mut().zip(taken) {
            match held {
                Some(held) => held.merge(permit),
                None => *held = Some(permit),
            }
        }
    }
}

struct Waiting {
    frame: Frame<Bytes>,
    room: Pin<Box<dyn Future<Output = Result<(), Refusal>> + Send>>,
}

/// A request's body.
pub(super) struct Metered {
    inner: Incoming,
    meter: Meter,
    /// A frame for which room is being made.
    waiting: Option<Waiting>,
    progress: Arc<Progress>,
    deadline: Pin<Box<Sleep>>,
}

impl Metered {
    pub(super) fn new(inner: Incoming, meter: Meter, progress: Arc<Progress>) -> Self {
        let deadline = Box::pin(sleep(meter.0.port.limits.body));
        let metered = Self {
            inner,
            meter,
            waiting: None,
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
        if self.waiting.is_none() {
            let Some(frame) = ready!(Pin::new(&mut self.inner).poll_frame(cx)).transpose()? else {
                self.progress.enter(Phase::Handler);
                return Poll::Ready(None);
            };
            let length = frame.data_ref().map_or(0, Bytes::len);
            let count = u32::try_from(length).map_err(|_| self.meter.refuse(Refusal::TooLarge))?;
            if self.meter.try_take(count) {
                return Poll::Ready(Some(Ok(self.passed(frame))));
            }
            let room = Box::pin(self.meter.clone().take(count));
            self.waiting = Some(Waiting { frame, room });
        }
        let Some(waiting) = &mut self.waiting else {
            return Poll::Pending;
        };
        ready!(waiting.room.as_mut().poll(cx))?;
        match self.waiting.take() {
            Some(Waiting { frame, .. }) => Poll::Ready(Some(Ok(self.passed(frame)))),
            None => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Metered {
    fn passed(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        if self.inner.is_end_stream() {
            self.progress.enter(Phase::Handler);
        }
        frame
    }
}
