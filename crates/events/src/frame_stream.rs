//! The connection of a protocol that speaks in frames: what has come in, what goes out, and how long the server is silent.

use std::{io, time::Duration};

use bytes::{Buf, BytesMut};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use crate::source::server::Duplex;

/// Bytes of one read.
const READ: usize = 16 << 10;

/// The connection does not work.
#[derive(Debug, Error)]
pub(crate) enum StreamError {
    /// It is broken.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Nothing comes in, or nothing is taken.
    #[error("the server is silent")]
    Silent,
}

/// A stream with buffers in both directions.
pub(crate) struct FrameStream {
    stream: Box<dyn Duplex>,
    /// What has come in and belongs to no frame yet.
    pub(crate) read: BytesMut,
    /// What is queued.
    pub(crate) write: Vec<u8>,
    /// Bytes that are still to be skipped.
    skip: usize,
    heard: Instant,
}

impl FrameStream {
    /// A stream on which nothing was read, and `write` is to be sent first.
    pub(crate) fn new(stream: Box<dyn Duplex>, write: &[u8]) -> Self {
        Self {
            stream,
            read: BytesMut::new(),
            write: write.to_vec(),
            skip: 0,
            heard: Instant::now(),
        }
    }

    /// What it goes over.
    pub(crate) fn into_stream(self) -> Box<dyn Duplex> {
        self.stream
    }

    /// Sends what is queued.
    pub(crate) async fn flush(&mut self, deadline: Duration) -> Result<(), StreamError> {
        if self.write.is_empty() {
            return Ok(());
        }
        let write = async {
            self.stream.write_all(&self.write).await?;
            self.stream.flush().await
        };
        timeout(deadline, write)
            .await
            .map_err(|_| StreamError::Silent)??;
        self.write.clear();
        Ok(())
    }

    /// Reads more; a server that has said nothing for `silence` is gone. It may be dropped while it waits: nothing is lost.
    pub(crate) async fn fill(&mut self, silence: Duration) -> Result<(), StreamError> {
        self.read.reserve(READ);
        let silent = tokio::time::sleep_until(self.heard + silence);
        let read = tokio::select! {
            // Who did not listen for long reads first what has come in meanwhile.
            biased;
            read = self.stream.read_buf(&mut self.read) => read?,
            () = silent => return Err(StreamError::Silent),
        };
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        self.heard = Instant::now();
        Ok(())
    }

    /// Has the next bytes skipped as they come in.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.skip = bytes;
    }

    /// Skips what has come in; true when `bytes` of a frame are there.
    pub(crate) fn has(&mut self, bytes: usize) -> bool {
        let skipped = self.skip.min(self.read.len());
        self.read.advance(skipped);
        self.skip -= skipped;
        self.skip == 0 && self.read.len() >= bytes
    }
}
