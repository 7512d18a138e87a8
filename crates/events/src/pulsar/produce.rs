//! Producers: connections that stay open and send the messages of a trigger.

use std::collections::BTreeMap;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Duration, Instant},
};

use super::{
    cluster::Cluster,
    connection::{Connection, Frame, PING},
    error::PulsarError,
    proto::{Command, CreateProducer, MessageId, Metadata, Send},
};
use crate::source::{kind::SourceError, server::Access};

/// Messages that the broker may have before it has confirmed any.
const AT_ONCE: usize = 64;
/// A producer that is not used for so long ends.
const IDLE: Duration = Duration::from_secs(300);
/// Bytes of a message beside its payload.
const AROUND: usize = 1 << 10;
/// Its number on its connection, where it is alone.
const ID: u64 = 1;

/// A message on its way, and who waits for it.
struct Outgoing {
    payload: Bytes,
    time: Timestamp,
    answer: oneshot::Sender<Result<MessageId, PulsarError>>,
}

/// Sends messages to one topic. The connection ends when this is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Producer {
    outgoing: mpsc::Sender<Outgoing>,
    largest: usize,
}

impl Producer {
    /// Opens one for a topic, which is not divided.
    pub(crate) async fn open(
        cluster: &Cluster,
        access: &Access<'_>,
        servers: &mut Connection,
        topic: &str,
    ) -> Result<Self, SourceError> {
        let place = cluster.find(access, servers, topic).await?;
        let mut connection = cluster.reach(access, &place).await?;
        let asked = connection.ask(
            |request_id| {
                Command::Producer(CreateProducer {
                    topic: topic.to_owned(),
                    producer_id: ID,
                    request_id,
                })
            },
            |command, number| match command {
                Command::ProducerSuccess(answer) if answer.request_id == number => Some(answer),
                _ => None,
            },
        );
        let opened = asked
            .await
            .map_err(|error| cluster.failed(&format!("{topic}: {error}")))?;
        let (sender, outgoing) = mpsc::channel(AT_ONCE);
        let producer = Self {
            outgoing: sender,
            largest: connection.largest,
        };
        tokio::spawn(drive(connection, opened.producer_name, outgoing));
        Ok(producer)
    }

    /// Whether it can be used.
    pub(crate) fn is_open(&self) -> bool {
        !self.outgoing.is_closed()
    }

    /// Bytes that a payload may have.
    pub(crate) fn largest(&self) -> usize {
        self.largest.saturating_sub(AROUND)
    }

    /// Sends a message; returns when the broker has stored it. `None` when it ended before: nothing was sent.
    pub(crate) async fn send(
        &self,
        payload: Bytes,
        time: Timestamp,
    ) -> Option<Result<MessageId, PulsarError>> {
        let (answer, stored) = oneshot::channel();
        let outgoing = Outgoing {
            payload,
            time,
            answer,
        };
        self.outgoing.send(outgoing).await.ok()?;
        Some(stored.await.unwrap_or(Err(PulsarError::Unconfirmed)))
    }
}

/// Messages that the broker has not confirmed, by their numbers.
type Waiting = BTreeMap<u64, oneshot::Sender<Result<MessageId, PulsarError>>>;

/// Keeps the connection of a producer until it breaks or nobody uses it. Who still waits then gets an error.
async fn drive(mut connection: Connection, name: String, mut outgoing: mpsc::Receiver<Outgoing>) {
    let mut waiting = Waiting::new();
    let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
    let (mut sequence, mut used) = (0, Instant::now());
    loop {
        tokio::select! {
            message = outgoing.recv(), if waiting.len() < AT_ONCE => {
                let Some(message) = message else { return };
                used = Instant::now();
                let metadata = Metadata {
                    producer_name: name.clone(),
                    sequence_id: sequence,
                    publish_time: u64::try_from(message.time.as_millisecond()).unwrap_or_default(),
                    ..Metadata::default()
                };
                let send = Send { producer_id: ID, sequence_id: sequence };
                connection.queue_message(send, &metadata, &message.payload);
                waiting.insert(sequence, message.answer);
                sequence += 1;
            }
            frame = connection.next() => match frame {
                Ok(Frame::Command(command)) => if !confirmed(command, &mut waiting) {
                    return;
                },
                Ok(Frame::Entry(..) | Frame::Other) => {}
                Err(error) => {
                    tracing::debug!(%error, "producer of Pulsar ended");
                    return;
                }
            },
            _ = ping.tick() => {
                if waiting.is_empty() && used.elapsed() > IDLE {
                    return;
                }
                connection.ping();
            }
        }
        if connection.flush().await.is_err() {
            return;
        }
    }
}

/// Answers who waits for a message; whether the producer is still good.
fn confirmed(command: Command, waiting: &mut Waiting) -> bool {
    match command {
        Command::SendReceipt(receipt) => {
            if let Some(answer) = waiting.remove(&receipt.sequence_id) {
                drop(answer.send(receipt.message_id.ok_or(PulsarError::Protocol)));
            }
            true
        }
        Command::SendError(refusal) => {
            let error = PulsarError::refused(Some(refusal.error), Some(refusal.message));
            if let Some(answer) = waiting.remove(&refusal.sequence_id) {
                drop(answer.send(Err(error)));
            }
            // What a broker refuses once it may refuse for as long as the producer lives.
            false
        }
        Command::CloseProducer(_) | Command::Error(_) => false,
        _ => true,
    }
}
