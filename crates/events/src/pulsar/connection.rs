//! The frames and requests of one connection to a broker.

use std::time::Duration;

use bytes::{Buf, Bytes};
use prost::Message as _;
use tokio::time::timeout;

use super::{
    error::PulsarError,
    proto::{BaseCommand, Command, Connect, Delivered, Metadata, Nothing, Send, VERSION},
};
use crate::{frame_stream::FrameStream, source::server::Duplex};

/// A request is answered, and a command written, within this time.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// The broker is asked so often whether it is alive; it closes connections on which it hears nothing for a minute.
pub(crate) const PING: Duration = Duration::from_secs(20);
/// A broker that says nothing for so long is gone.
const SILENCE: Duration = Duration::from_secs(90);
/// Bytes of a command.
const LARGEST_COMMAND: usize = 64 << 10;
/// Bytes of an entry that are kept: brokers take 5 MiB by default, with 10 KiB around them.
const LARGEST_ENTRY: usize = 6 << 20;
/// So much of a larger one is kept: what tells how many messages it has.
const PREFIX: usize = 16 << 10;
/// No frame is larger. What other servers say first reads as more.
const ABSURD: usize = 1 << 30;
/// Bytes of a message that a broker takes where it does not say it.
const LARGEST_MESSAGE: usize = 5 << 20;
/// How the client names itself.
const CLIENT: &str = "argo-events";
/// Begins the checksum of an entry.
pub(super) const CHECKSUM: u16 = 0x0e01;

/// What a broker sends.
pub(crate) enum Frame {
    Command(Command),
    Entry(Delivered, Body),
    /// Nothing of interest. What was queued meanwhile is to be sent.
    Other,
}

/// Metadata and payload of an entry.
pub(crate) enum Body {
    Whole(Bytes),
    /// The first bytes of one that has so many.
    Prefix(Bytes, usize),
}

/// How a client logs in: the method, and its data.
pub(super) struct Login {
    pub(super) method: &'static str,
    pub(super) data: Vec<u8>,
}

/// A connection.
pub(crate) struct Connection {
    stream: FrameStream,
    request: u64,
    /// Bytes of a message that the broker takes.
    pub(crate) largest: usize,
}

impl Connection {
    fn new(stream: Box<dyn Duplex>) -> Self {
        Self {
            stream: FrameStream::new(stream, b""),
            request: 0,
            largest: LARGEST_MESSAGE,
        }
    }

    /// The side of a broker, for tests.
    #[cfg(test)]
    pub(super) fn accepted(stream: Box<dyn Duplex>) -> Self {
        Self::new(stream)
    }

    /// Begins the protocol; `broker` is where a proxy leads to.
    pub(super) async fn open(
        stream: Box<dyn Duplex>,
        login: Option<Login>,
        broker: Option<&str>,
    ) -> Result<Self, PulsarError> {
        let mut connection = Self::new(stream);
        let (method, data) = match login {
            Some(login) => (Some(login.method.to_owned()), Some(login.data)),
            None => (None, None),
        };
        connection.queue(Command::Connect(Connect {
            client_version: CLIENT.to_owned(),
            auth_data: data,
            protocol_version: Some(VERSION),
            auth_method_name: method,
            proxy_to_broker_url: broker.map(str::to_owned),
        }));
        let answer = connection.answer(|command| match command {
            Command::Connected(connected) => Some(Ok(connected.max_message_size)),
            Command::Error(refusal) => Some(Err(refusal.into())),
            _ => None,
        });
        if let Some(largest) = answer.await?.and_then(|size| usize::try_from(size).ok()) {
            connection.largest = largest;
        }
        Ok(connection)
    }

    /// Sends a request, which `make` gives its number; the broker confirms it.
    pub(crate) async fn ask<A>(
        &mut self,
        make: impl FnOnce(u64) -> Command,
        mut take: impl FnMut(Command, u64) -> Option<A>,
    ) -> Result<A, PulsarError> {
        self.request += 1;
        let number = self.request;
        self.queue(make(number));
        self.answer(|command| match command {
            Command::Error(refusal) if refusal.request_id == number => Some(Err(refusal.into())),
            other => take(other, number).map(Ok),
        })
        .await
    }

    /// Sends what was queued, and waits for the command that `take` takes.
    async fn answer<A>(
        &mut self,
        mut take: impl FnMut(Command) -> Option<Result<A, PulsarError>>,
    ) -> Result<A, PulsarError> {
        let answer = async {
            loop {
                self.flush().await?;
                match self.next().await? {
                    Frame::Command(Command::CloseProducer(_) | Command::CloseConsumer(_)) => {
                        return Err(PulsarError::Closed);
                    }
                    Frame::Command(command) => {
                        if let Some(answer) = take(command) {
                            return answer;
                        }
                    }
                    Frame::Entry(..) => return Err(PulsarError::Protocol),
                    Frame::Other => {}
                }
            }
        };
        let answered = timeout(DEADLINE, answer).await;
        answered.unwrap_or(Err(PulsarError::Silent))
    }

    /// Queues a command.
    pub(crate) fn queue(&mut self, command: Command) {
        let command = command.base().encode_to_vec();
        self.number(command.len() + 4);
        self.number(command.len());
        self.stream.write.extend_from_slice(&command);
    }

    /// Queues the question whether the broker is alive.
    pub(crate) fn ping(&mut self) {
        self.queue(Command::Ping(Nothing {}));
    }

    /// Queues a message.
    pub(crate) fn queue_message(&mut self, send: Send, metadata: &Metadata, payload: &[u8]) {
        let command = Command::Send(send).base().encode_to_vec();
        let entry = encoded(metadata, payload);
        self.number(command.len() + 4 + entry.len());
        self.number(command.len());
        self.stream.write.extend_from_slice(&command);
        self.stream.write.extend_from_slice(&entry);
    }

    fn number(&mut self, number: usize) {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        self.stream.write.extend_from_slice(&number.to_be_bytes());
    }

    /// Sends what was queued.
    pub(crate) async fn flush(&mut self) -> Result<(), PulsarError> {
        Ok(self.stream.flush(DEADLINE).await?)
    }

    /// The next frame. It may be dropped while it waits: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Frame, PulsarError> {
        loop {
            match self.take()? {
                Some(Frame::Command(Command::Ping(_))) => {
                    self.queue(Command::Pong(Nothing {}));
                    return Ok(Frame::Other);
                }
                Some(frame) => return Ok(frame),
                None => {}
            }
            self.stream.fill(SILENCE).await?;
        }
    }

    /// The frame that has come in, if one has.
    fn take(&mut self) -> Result<Option<Frame>, PulsarError> {
        if !self.stream.has(4) {
            return Ok(None);
        }
        let read = &mut self.stream.read;
        let total = (&read[..4]).get_u32() as usize;
        if !(4..ABSURD).contains(&total) {
            return Err(PulsarError::Protocol);
        }
        if read.len() < 8 {
            return Ok(None);
        }
        let size = (&read[4..8]).get_u32() as usize;
        if size > LARGEST_COMMAND || size > total - 4 {
            return Err(PulsarError::Protocol);
        }
        let rest = total - 4 - size;
        let kept = if rest > LARGEST_ENTRY { PREFIX } else { rest };
        if read.len() < 8 + size + kept {
            return Ok(None);
        }
        read.advance(8);
        let command = read.split_to(size);
        let command = BaseCommand::decode(command.freeze()).map_err(|_| PulsarError::Protocol)?;
        let body = read.split_to(kept).freeze();
        self.stream.skip(rest - kept);
        Ok(Some(match command.command {
            Some(Command::Message(delivered)) if kept < rest => {
                Frame::Entry(delivered, Body::Prefix(body, rest))
            }
            Some(Command::Message(delivered)) => Frame::Entry(delivered, Body::Whole(body)),
            Some(command) => Frame::Command(command),
            None => Frame::Other,
        }))
    }
}

/// An entry as it goes over a connection.
pub(super) fn encoded(metadata: &Metadata, payload: &[u8]) -> Vec<u8> {
    let metadata = metadata.encode_to_vec();
    let size = u32::try_from(metadata.len()).unwrap_or(u32::MAX);
    let checked = [&size.to_be_bytes()[..], &metadata, payload].concat();
    let checksum = crc32c::crc32c(&checked).to_be_bytes();
    [&CHECKSUM.to_be_bytes()[..], &checksum, &checked].concat()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::pulsar::proto::MessageId;

    fn delivery(payload: &[u8]) -> Vec<u8> {
        let command = Command::Message(Delivered {
            consumer_id: 3,
            message_id: MessageId {
                ledger: 1,
                entry: 2,
            },
        });
        let command = command.base().encode_to_vec();
        let number = |number: usize| u32::try_from(number).expect("small").to_be_bytes();
        let total = number(4 + command.len() + payload.len());
        [&total[..], &number(command.len()), &command, payload].concat()
    }

    fn reading(bytes: &[u8]) -> Connection {
        let (_, client) = tokio::io::duplex(8);
        let mut connection = Connection::new(Box::new(client));
        connection.stream.read.extend_from_slice(bytes);
        connection
    }

    #[tokio::test]
    async fn frames_are_read_wherever_they_are_cut_and_large_ones_are_skipped() {
        let (mut server, client) = tokio::io::duplex(1 << 16);
        let large = LARGEST_ENTRY + 1;
        let sent = [
            delivery(b"first"),
            delivery(&vec![b'x'; large]),
            delivery(b"last"),
        ]
        .concat();
        let writing = tokio::spawn(async move {
            for part in sent.chunks(1013) {
                server.write_all(part).await.expect("written");
            }
            server
        });
        let mut connection = Connection::new(Box::new(client));
        let mut bodies = Vec::new();
        for _ in 0..3 {
            match connection.next().await.expect("a frame") {
                Frame::Entry(delivered, Body::Whole(body)) => {
                    assert_eq!(delivered.consumer_id, 3);
                    bodies.push(String::from_utf8_lossy(&body).into_owned());
                }
                Frame::Entry(_, Body::Prefix(begin, size)) => {
                    bodies.push(format!("{} of {size}", begin.len()));
                }
                _ => panic!("no entry"),
            }
        }
        let prefix = format!("{PREFIX} of {large}");
        assert_eq!(bodies, ["first", prefix.as_str(), "last"]);
        drop(writing.await);
    }

    #[tokio::test]
    async fn what_is_no_frame_is_refused_before_it_is_held() {
        for bytes in [
            &b"HTTP/1.1 400 Bad Request\r\n"[..],
            b"INFO {\"server_id\":\"x\"}",
            b"-ERR wrong\r\n",
            &[0, 0, 0, 3, 0, 0, 0, 0],
            &[0, 0, 0, 20, 0, 0, 0, 17],
            &[0, 0x20, 0, 0, 0, 1, 0, 1],
            &[0, 0, 0, 6, 0, 0, 0, 2, 0xff, 0xff],
        ] {
            let taken = reading(bytes).take();
            assert!(matches!(taken, Err(PulsarError::Protocol)), "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn a_broker_that_asks_is_answered() {
        let (mut server, client) = tokio::io::duplex(64);
        let mut asked = Connection::new(Box::new(client));
        let mut other = reading(b"");
        other.ping();
        server
            .write_all(&other.stream.write)
            .await
            .expect("written");
        assert!(matches!(asked.next().await, Ok(Frame::Other)));
        other.stream.write.clear();
        other.queue(Command::Pong(Nothing {}));
        assert_eq!(asked.stream.write, other.stream.write);
    }
}
