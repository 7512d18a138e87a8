//! What a connection waits for, and since when.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::Instant,
};

use super::limits::Limits;

/// The part of an exchange that a connection is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The TLS handshake, or a header of which a part has come.
    Header,
    /// Between two requests.
    Idle,
    /// The client sends a body.
    Body,
    /// The handler works.
    Handler,
    /// The client receives the response.
    Response,
}

/// The phase of one connection.
#[derive(Debug)]
pub(super) struct Progress {
    state: Mutex<(Phase, Instant)>,
    body: Mutex<BodyUse>,
    changed: Notify,
}

/// What the body of the latest request takes.
#[derive(Clone, Copy, Debug)]
struct BodyUse {
    begun: Instant,
    bytes: usize,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::new((Phase::Header, Instant::now())),
            body: Mutex::new(BodyUse {
                begun: Instant::now(),
                bytes: 0,
            }),
            changed: Notify::new(),
        }
    }

    pub(super) fn enter(&self, phase: Phase) {
        *self.state.lock() = (phase, Instant::now());
        self.changed.notify_waiters();
    }

    /// Since when the client is the one to act; `None` while the handler works.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        let (phase, since) = *self.state.lock();
        (phase != Phase::Handler).then_some(since)
    }

    /// A request begins; its body holds nothing yet.
    pub(super) fn begin_body(&self) {
        *self.body.lock() = BodyUse {
            begun: Instant::now(),
            bytes: 0,
        };
    }

    /// The body holds so many bytes more.
    pub(super) fn hold(&self, bytes: usize) {
        self.body.lock().bytes += bytes;
    }

    /// Bytes of the body, and these times the milliseconds since it began: a body that is large and slow uses most of
    /// what all share. `None` when no body is on its way.
    pub(super) fn body_use(&self) -> Option<(usize, u128)> {
        let (phase, _) = *self.state.lock();
        let BodyUse { begun, bytes } = *self.body.lock();
        let age = begun.elapsed().as_millis() + 1;
        (phase == Phase::Body).then(|| (bytes, age * u128::try_from(bytes).unwrap_or(u128::MAX)))
    }

    fn read(&self) {
        let (phase, _) = *self.state.lock();
        match phase {
            Phase::Idle => self.enter(Phase::Header),
            Phase::Body => self.state.lock().1 = Instant::now(),
            Phase::Header | Phase::Handler | Phase::Response => {}
        }
    }

    fn wrote(&self) {
        let mut state = self.state.lock();
        if state.0 == Phase::Response {
            state.1 = Instant::now();
        }
    }

    fn flushed(&self) {
        if self.state.lock().0 == Phase::Response {
            self.enter(Phase::Idle);
        }
    }

    fn deadline(&self, limits: &Limits) -> Option<Instant> {
        let (phase, since) = *self.state.lock();
        let length = match phase {
            Phase::Header => limits.header,
            Phase::Idle => limits.idle,
            Phase::Response => limits.stall,
            // The body counts its own time, so that the client gets an answer.
            Phase::Body | Phase::Handler => return None,
        };
        Some(since + length)
    }

    /// Ends when the client has let a deadline pass.
    pub(super) async fn expired(&self, limits: &Limits) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that a change in between is not missed.
            changed.as_mut().enable();
            match self.deadline(limits) {
                Some(deadline) if deadline <= Instant::now() => return,
                Some(deadline) => {
                    tokio::select! {
                        () = tokio::time::sleep_until(deadline) => {}
                        () = changed => {}
                    }
                }
                None => changed.await,
            }
        }
    }
}

/// A stream that records what the client does.
pub(super) struct Tracked<S> {
    inner: S,
    progress: Arc<Progress>,
}

impl<S> Tracked<S> {
    pub(super) fn new(inner: S, progress: Arc<Progress>) -> Self {
        Self { inner, progress }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Tracked<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.inner).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.progress.read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tracked<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write(cx, data))?;
        self.progress.wrote();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.inner).poll_write_vectored(cx, parts))?;
        self.progress.wrote();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.progress.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
