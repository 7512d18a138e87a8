//! Packets of MQTT over a connection.
//!
//! The codec is that of `rumqttc`. Its event loop is not used: it opens connections itself, beside the rule about
//! addresses, and ends the connection at a message that is too large, which the broker then sends again for ever.

use std::{io, time::Duration};

use bytes::{Buf, BytesMut};
use rumqttc::mqttbytes::{
    self,
    v4::{Packet, Publish},
};
use rumqttc::{ConnectReturnCode, SubscribeReasonCode};
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};

use crate::source::server::Duplex;

/// A packet is written within this time.
const DEADLINE: Duration = Duration::from_secs(30);
/// A broker that does not answer pings for so long is gone.
const SILENCE: Duration = Duration::from_secs(90);
/// Bytes of a packet beside the body: header, topic and identifier.
const HEAD: usize = 5 + 2 + u16::MAX as usize + 2;
/// Bytes of one read.
const READ: usize = 16 << 10;
/// Type and flags of a PUBLISH packet.
const PUBLISH: u8 = 3;

/// The connection does not work.
#[derive(Debug, Error)]
pub(super) enum MqttError {
    /// It is broken.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// This is no MQTT.
    #[error("the answer is not MQTT: {0}")]
    Protocol(#[from] mqttbytes::Error),
    /// A packet of this length has no purpose.
    #[error("a packet of {0} bytes is refused")]
    TooLarge(usize),
    /// The server answers the login with something else.
    #[error("the answer to the login is not that of an MQTT broker")]
    NoLogin,
    /// Nothing comes in.
    #[error("the broker is silent")]
    Silent,
}

/// A message of the topic.
pub(super) enum Message {
    /// As it came in.
    Whole(Publish),
    /// Its body was skipped.
    TooLarge {
        id: u16,
        repeated: bool,
        size: usize,
    },
}

impl Message {
    /// The packet identifier; 0 for a message of `QoS` 0.
    pub(super) fn id(&self) -> u16 {
        match self {
            Self::Whole(message) => message.pkid,
            Self::TooLarge { id, .. } => *id,
        }
    }

    /// Bytes of its body that are held.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Whole(message) => message.payload.len(),
            Self::TooLarge { .. } => 0,
        }
    }

    /// The broker sends it again.
    pub(super) fn is_repeated(&self) -> bool {
        match self {
            Self::Whole(message) => message.dup,
            Self::TooLarge { repeated, .. } => *repeated,
        }
    }
}

/// What comes in.
pub(super) enum Incoming {
    Message(Message),
    /// How the broker takes the subscription.
    Subscribed(SubscribeReasonCode),
    /// Nothing of interest.
    Other,
}

pub(super) struct Connection {
    stream: Box<dyn Duplex>,
    read: BytesMut,
    write: BytesMut,
    /// Bytes that are still to be skipped.
    skip: usize,
    largest: usize,
    heard: Instant,
    pinged: Option<Instant>,
}

impl Connection {
    pub(super) fn new(stream: Box<dyn Duplex>, largest_body: usize) -> Self {
        Self {
            stream,
            read: BytesMut::new(),
            write: BytesMut::new(),
            skip: 0,
            largest: largest_body + HEAD,
            heard: Instant::now(),
            pinged: None,
        }
    }

    /// Sends a packet.
    pub(super) async fn send(&mut self, packet: &Packet) -> Result<(), MqttError> {
        self.write.clear();
        packet.write(&mut self.write, usize::MAX)?;
        let write = self.stream.write_all(&self.write);
        let written = timeout(DEADLINE, write).await;
        written.map_err(|_| MqttError::Silent)?.map_err(Into::into)
    }

    /// Keeps the connection alive.
    pub(super) async fn ping(&mut self) -> Result<(), MqttError> {
        match self.pinged {
            Some(pinged) if self.heard < pinged && pinged.elapsed() > SILENCE => {
                return Err(MqttError::Silent);
            }
            Some(pinged) if self.heard < pinged => {}
            _ => self.pinged = Some(Instant::now()),
        }
        self.send(&Packet::PingReq).await
    }

    /// The answer to the login.
    pub(super) async fn logged_in(&mut self) -> Result<ConnectReturnCode, MqttError> {
        match self.packet().await? {
            Ok(Packet::ConnAck(answer)) => Ok(answer.code),
            _ => Err(MqttError::NoLogin),
        }
    }

    /// The next packet. Nothing is lost when this is dropped.
    pub(super) async fn receive(&mut self) -> Result<Incoming, MqttError> {
        Ok(match self.packet().await? {
            Ok(Packet::Publish(message)) => Incoming::Message(Message::Whole(message)),
            Ok(Packet::SubAck(answer)) => match answer.return_codes.first() {
                Some(code) => Incoming::Subscribed(*code),
                None => Incoming::Other,
            },
            Ok(_) => Incoming::Other,
            Err(skipped) => Incoming::Message(skipped),
        })
    }

    /// The next packet, or a message that is too large.
    async fn packet(&mut self) -> Result<Result<Packet, Message>, MqttError> {
        loop {
            let skipped = self.skip.min(self.read.len());
            self.read.advance(skipped);
            self.skip -= skipped;
            if self.skip == 0 {
                match Packet::read(&mut self.read, self.largest) {
                    Ok(packet) => return Ok(Ok(packet)),
                    Err(mqttbytes::Error::InsufficientBytes(_)) => {}
                    Err(mqttbytes::Error::PayloadSizeLimitExceeded(size)) => {
                        if let Some(message) = self.skip_message(size)? {
                            return Ok(Err(message));
                        }
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            self.read.reserve(READ);
            if self.stream.read_buf(&mut self.read).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            self.heard = Instant::now();
        }
    }

    /// Begins to skip a message of this size; `None` while its head is not read.
    fn skip_message(&mut self, size: usize) -> Result<Option<Message>, MqttError> {
        let Some(first) = self.read.first().copied() else {
            return Ok(None);
        };
        if first >> 4 != PUBLISH {
            return Err(MqttError::TooLarge(size));
        }
        // The length ends with the first byte below 128.
        let Some(end) = self.read.iter().skip(1).position(|byte| *byte < 128) else {
            return Ok(None);
        };
        let topic = 1 + end + 1;
        let number = |at: usize| {
            let bytes = self.read.get(at..at + 2)?;
            Some(u16::from_be_bytes([bytes[0], bytes[1]]))
        };
        let Some(length) = number(topic) else {
            return Ok(None);
        };
        let id = if first & 0b110 == 0 {
            0
        } else {
            match number(topic + 2 + usize::from(length)) {
                Some(id) => id,
                None => return Ok(None),
            }
        };
        self.skip = topic + size;
        Ok(Some(Message::TooLarge {
            id,
            repeated: first & 0b1000 != 0,
            size,
        }))
    }
}
