//! The transport under the client library: connections that the rule about addresses allows, and messages that are not
//! larger than the bus takes.
//!
//! The library collects a message of any length that the broker announces, so the body of one that is too large is
//! taken out here: the library sees an empty message, and the true size is kept beside.

use std::{
    collections::VecDeque,
    future::Future,
    io::{self, Read, Write},
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use async_rs::{Tokio, traits};
use bytes::{Buf, BytesMut};
use futures::{AsyncRead, AsyncWrite, Stream};
use parking_lot::Mutex;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::consume::AT_ONCE;
use crate::source::server::Duplex;

/// Bytes of one read.
const READ: usize = 16 << 10;
/// Type, channel and length of a frame; an end mark follows its payload.
const HEAD: usize = 7;
/// Of a frame that announces a body: class, weight and size of the body.
const ANNOUNCED: usize = HEAD + 12;
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;

/// The sizes of the bodies of messages that came in and were not taken yet, in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Sizes(Arc<Mutex<VecDeque<u64>>>);

impl Sizes {
    /// The size of the next message.
    pub(super) fn next(&self) -> u64 {
        self.0.lock().pop_front().unwrap_or_default()
    }
}

/// A connection whose messages are bounded.
pub(super) struct Transport {
    stream: Box<dyn Duplex>,
    filter: Filter,
}

impl Transport {
    pub(super) fn new(stream: Box<dyn Duplex>, largest: usize) -> (Self, Sizes) {
        let sizes = Sizes::default();
        let filter = Filter::new(largest, sizes.clone());
        (Self { stream, filter }, sizes)
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        while this.filter.output.is_empty() {
            let mut bytes = [0; READ];
            let mut read = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut read))?;
            if read.filled().is_empty() {
                return Poll::Ready(Ok(0));
            }
            this.filter.take(read.filled())?;
        }
        let count = buffer.len().min(this.filter.output.len());
        this.filter.output.copy_to_slice(&mut buffer[..count]);
        Poll::Ready(Ok(count))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Takes bodies out of a stream of frames.
struct Filter {
    largest: u64,
    sizes: Sizes,
    input: BytesMut,
    output: BytesMut,
    /// Bytes of the frame at hand, and whether they are kept.
    frame: (usize, bool),
    /// Bytes of a body that are still to be taken out.
    body: u64,
}

impl Filter {
    fn new(largest: usize, sizes: Sizes) -> Self {
        Self {
            largest: largest as u64,
            sizes,
            input: BytesMut::new(),
            output: BytesMut::new(),
            frame: (0, true),
            body: 0,
        }
    }

    /// Takes bytes that came in.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.extend_from_slice(bytes);
        loop {
            let (left, kept) = self.frame;
            let count = left.min(self.input.len());
            let part = self.input.split_to(count);
            if kept {
                self.output.extend_from_slice(&part);
            }
            self.frame.0 -= count;
            if self.frame.0 > 0 || !self.next_frame()? {
                return Ok(());
            }
        }
    }

    /// Decides about the next frame; false while its head is not there.
    fn next_frame(&mut self) -> io::Result<bool> {
        let Some(&kind) = self.input.first() else {
            return Ok(false);
        };
        if !matches!(kind, METHOD | HEADER | BODY | HEARTBEAT) {
            // No frame: the library says what is wrong.
            self.frame = (usize::MAX, true);
            return Ok(true);
        }
        let wanted = if kind == HEADER { ANNOUNCED } else { HEAD };
        if self.input.len() < wanted {
            return Ok(false);
        }
        let length = (&self.input[3..HEAD]).get_u32();
        self.frame = (HEAD + length as usize + 1, true);
        match kind {
            HEADER => self.announce()?,
            BODY if self.body > 0 => {
                self.frame.1 = false;
                self.body = self.body.saturating_sub(u64::from(length));
            }
            _ => {}
        }
        Ok(true)
    }

    /// A message of this size follows.
    fn announce(&mut self) -> io::Result<()> {
        let place = ANNOUNCED - 8..ANNOUNCED;
        let size = (&self.input[place.clone()]).get_u64();
        self.body = 0;
        if size > self.largest {
            self.body = size;
            self.input[place].fill(0);
        }
        let mut sizes = self.sizes.0.lock();
        sizes.push_back(size);
        if sizes.len() > 2 * usize::from(AT_ONCE) {
            return Err(io::Error::other("the broker sends more than was asked for"));
        }
        Ok(())
    }
}

/// Tokio, for connections that are made elsewhere.
#[derive(Clone, Debug)]
pub(super) struct Reactor(Tokio);

impl Reactor {
    pub(super) fn current() -> Self {
        Self(Tokio::current())
    }
}

impl traits::Reactor for Reactor {
    type TcpStream = Transport;
    type Sleep = <Tokio as traits::Reactor>::Sleep;

    fn register<H: Read + Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Transport, _>(io::Error::from(io::ErrorKind::Unsupported))
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        _address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        std::future::ready(Err(io::Error::from(io::ErrorKind::Unsupported)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("short").to_be_bytes();
        [&[kind, 0, 1][..], &length, payload, &[0xCE]].concat()
    }

    fn announced(size: u64) -> Vec<u8> {
        let head = [&[0, 60, 0, 0][..], &size.to_be_bytes(), &[0, 0]];
        frame(HEADER, &head.concat())
    }

    #[test]
    fn bodies_that_are_too_large_are_taken_out_wherever_the_bytes_are_cut() {
        let deliver = frame(METHOD, b"deliver");
        let sent = [
            deliver.clone(),
            announced(3),
            frame(BODY, b"abc"),
            deliver.clone(),
            announced(9),
            frame(BODY, b"01234"),
            frame(HEARTBEAT, b""),
            frame(BODY, b"5678"),
            deliver.clone(),
            announced(4),
            frame(BODY, b"last"),
        ]
        .concat();
        let kept = [
            deliver.clone(),
            announced(3),
            frame(BODY, b"abc"),
            deliver.clone(),
            announced(0),
            frame(HEARTBEAT, b""),
            deliver,
            announced(4),
            frame(BODY, b"last"),
        ]
        .concat();
        for step in 1..=sent.len() {
            let sizes = Sizes::default();
            let mut filter = Filter::new(4, sizes.clone());
            for part in sent.chunks(step) {
                filter.take(part).expect("frames");
            }
            assert_eq!(filter.output, kept, "in steps of {step}");
            assert_eq!([sizes.next(), sizes.next(), sizes.next()], [3, 9, 4]);
        }
    }

    #[test]
    fn what_is_no_frame_passes_and_a_flood_of_messages_ends_the_connection() {
        let mut filter = Filter::new(4, Sizes::default());
        filter.take(b"AMQP\0\0\x09\x01").expect("passes");
        assert_eq!(&filter.output[..], b"AMQP\0\0\x09\x01");
        let mut filter = Filter::new(4, Sizes::default());
        let flood = announced(1).repeat(2 * usize::from(AT_ONCE) + 1);
        assert!(filter.take(&flood).is_err());
    }
}
