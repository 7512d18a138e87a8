//! One connection to a broker: a request, then its answer.

use std::{io, time::Duration};

use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use bytes::Bytes;

use super::{
    requests::code_name,
    wire::{NotKafka, Reader, Writer},
};
use crate::source::{kind::SourceError, server::Duplex};

/// A broker that does not answer within this time is gone.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// Largest answer that is kept in memory: a batch of records is as large as the broker permits, 1 MiB by default.
const MOST: usize = 32 << 20;
/// So much of a larger one is kept: what tells where its records end.
const PREFIX: usize = 4 << 10;
/// No answer is larger than a broker's own limit.
const ABSURD: usize = 1 << 30;
/// How the source names itself.
const CLIENT: &str = "argo-events";

/// A request was not answered as it should be.
#[derive(Debug, Error)]
pub(crate) enum KafkaError {
    /// The connection is broken.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// This is no Kafka.
    #[error(transparent)]
    NotKafka(#[from] NotKafka),
    /// Nothing comes back.
    #[error("no answer in time")]
    Silent,
    /// The broker refuses.
    #[error("{what}: {}", code_name(*code))]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// The error code of the protocol.
        code: i16,
    },
    /// The broker says why it refuses, or does what cannot be used.
    #[error("{0}")]
    Said(String),
    /// The broker sends records that cannot be read.
    #[error("partition {partition} at offset {offset}: {reason}")]
    Records {
        /// The partition.
        partition: i32,
        /// Where its batch begins.
        offset: i64,
        /// What is wrong.
        reason: &'static str,
    },
}

impl KafkaError {
    /// The error code of the protocol, if it is one.
    pub(crate) fn code(&self) -> Option<i16> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }
}

/// An error unless `code` is 0.
pub(crate) fn checked(what: &'static str, code: i16) -> Result<(), KafkaError> {
    match code {
        0 => Ok(()),
        code => Err(KafkaError::Refused { what, code }),
    }
}

/// A request by its number and version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Api {
    pub(crate) key: i16,
    pub(crate) version: i16,
}

/// An answer without its head.
pub(crate) enum Answer {
    Whole(Bytes),
    /// The first bytes of one that is too large.
    Prefix(Bytes),
}

/// A connection.
pub(crate) struct Connection {
    /// The broker, for texts.
    server: String,
    stream: Box<dyn Duplex>,
    next: i32,
    /// A request was dropped before its answer came.
    broken: bool,
}

impl Connection {
    pub(crate) fn new(server: String, stream: Box<dyn Duplex>) -> Self {
        Self {
            server,
            stream,
            next: 0,
            broken: false,
        }
    }

    /// The broker did or said this.
    pub(crate) fn failed(&self, reason: &impl ToString) -> SourceError {
        SourceError::Server {
            server: self.server.clone(),
            reason: reason.to_string(),
        }
    }

    /// Sends a request, and waits for its answer.
    pub(crate) async fn call(&mut self, api: Api, body: Writer) -> Result<Bytes, KafkaError> {
        self.call_within(api, body, DEADLINE).await
    }

    /// As [`Self::call`], for an answer that may take longer.
    pub(crate) async fn call_within(
        &mut self,
        api: Api,
        body: Writer,
        deadline: Duration,
    ) -> Result<Bytes, KafkaError> {
        match self.ask(api, body, deadline).await? {
            Answer::Whole(answer) => Ok(answer),
            Answer::Prefix(_) => Err(NotKafka.into()),
        }
    }

    /// As [`Self::call_within`], for an answer that may be too large.
    pub(crate) async fn ask(
        &mut self,
        api: Api,
        body: Writer,
        deadline: Duration,
    ) -> Result<Answer, KafkaError> {
        if std::mem::replace(&mut self.broken, true) {
            return Err(io::Error::from(io::ErrorKind::BrokenPipe).into());
        }
        let exchanged = timeout(deadline, self.exchange(api, &body.0)).await;
        let answer = exchanged.map_err(|_| KafkaError::Silent)??;
        self.broken = false;
        Ok(answer)
    }

    async fn exchange(&mut self, api: Api, body: &[u8]) -> Result<Answer, KafkaError> {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let head = Writer::default()
            .i16(api.key)
            .i16(api.version)
            .i32(number)
            .text(CLIENT)
            .0;
        let request = Writer::default().bytes(&[&head, body].concat()).0;
        self.stream.write_all(&request).await?;
        self.stream.flush().await?;
        let length = self.stream.read_u32().await? as usize;
        if !(4..ABSURD).contains(&length) {
            return Err(NotKafka.into());
        }
        let kept = if length > MOST { PREFIX } else { length };
        let mut answer = Vec::new();
        // Nothing is reserved for what the broker only announces.
        let mut begin = (&mut self.stream).take(kept as u64);
        if begin.read_to_end(&mut answer).await? < kept {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        if Reader::new(&answer).i32()? != number {
            return Err(NotKafka.into());
        }
        answer.drain(..4);
        if kept == length {
            return Ok(Answer::Whole(answer.into()));
        }
        let mut rest = (&mut self.stream).take((length - kept) as u64);
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
        Ok(Answer::Prefix(answer.into()))
    }
}
