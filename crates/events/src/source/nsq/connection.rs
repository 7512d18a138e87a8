//! The protocol of NSQ: commands and frames of one connection.

use std::{io, time::Duration};

use bytes::{Buf, Bytes};
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;
use tokio::time::timeout;

use crate::{
    frame_stream::{FrameStream, StreamError},
    source::server::Duplex,
};

/// A command is written within this time.
const DEADLINE: Duration = Duration::from_secs(30);
/// A server that sends no heartbeat for so long is gone; it sends one each 30 s.
const SILENCE: Duration = Duration::from_secs(90);
/// Bytes of a frame that is no message.
const LARGEST_ANSWER: usize = 64 << 10;
/// Bytes of a message before its body: time, attempts, id.
const HEAD: usize = 8 + 2 + ID;
/// Bytes of an id.
const ID: usize = 16;

/// Errors about a message that another reader has meanwhile: it comes again under the same id.
const LATE: [&[u8]; 3] = [b"E_FIN_FAILED", b"E_REQ_FAILED", b"E_TOUCH_FAILED"];

/// Types of frames.
const RESPONSE: u32 = 0;
const ERROR: u32 = 1;
const MESSAGE: u32 = 2;

/// The connection does not work.
#[derive(Debug, Error)]
pub enum NsqError {
    /// It is broken.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// This is no NSQ.
    #[error("the answer is not that of an nsqd")]
    Protocol,
    /// Nothing comes in.
    #[error("the server is silent")]
    Silent,
    /// The server refuses a command, in these words.
    #[error("{0}")]
    Refused(String),
}

impl From<StreamError> for NsqError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Io(error) => Self::Io(error),
            StreamError::Silent => Self::Silent,
        }
    }
}

/// A message as it came in.
pub(super) struct Message {
    /// When it was published, in nanoseconds.
    pub(super) timestamp: i64,
    /// Its name at this server, 16 hexadecimal digits.
    pub(super) id: String,
    pub(super) body: Body,
}

impl Message {
    /// Bytes of its body that are held.
    pub(super) fn held(&self) -> usize {
        match &self.body {
            Body::Whole(body) => body.len(),
            Body::Skipped(_) => 0,
        }
    }
}

/// What a message holds.
pub(super) enum Body {
    Whole(Bytes),
    /// So many bytes, which were skipped.
    Skipped(usize),
}

/// What the server sends.
pub(super) enum Frame {
    Response(Bytes),
    Message(Message),
    /// Nothing of interest. What was queued meanwhile is to be sent.
    Other,
}

/// What the server says about itself.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Features {
    pub(super) tls_v1: bool,
    pub(super) auth_required: bool,
    /// A message that is not finished in so many milliseconds goes to another reader.
    pub(super) msg_timeout: u64,
    pub(super) max_rdy_count: usize,
}

/// A connection.
pub(super) struct Connection {
    stream: FrameStream,
    largest: usize,
}

impl Connection {
    /// Begins the protocol.
    pub(super) fn new(stream: Box<dyn Duplex>, largest: usize) -> Self {
        Self {
            stream: FrameStream::new(stream, b"  V2"),
            largest,
        }
    }

    /// What it goes over, to be encrypted.
    pub(super) fn into_stream(self) -> Box<dyn Duplex> {
        self.stream.into_stream()
    }

    /// Goes on over a stream that is encrypted now.
    pub(super) fn encrypted(stream: Box<dyn Duplex>, largest: usize) -> Self {
        Self {
            stream: FrameStream::new(stream, b""),
            largest,
        }
    }

    /// Says who this is, and learns what the server does.
    pub(super) async fn identify(&mut self, tls: bool) -> Result<Features, NsqError> {
        let body = json!({
            "client_id": "argo-events", "user_agent": "argo-events", "feature_negotiation": true, "tls_v1": tls,
        });
        let body = body.to_string();
        self.stream.write.extend_from_slice(b"IDENTIFY\n");
        let size = u32::try_from(body.len()).unwrap_or_default();
        self.stream.write.extend_from_slice(&size.to_be_bytes());
        self.stream.write.extend_from_slice(body.as_bytes());
        let answer = self.answer().await?;
        serde_json::from_slice(&answer).map_err(|_| NsqError::Protocol)
    }

    /// Sends what was queued; the server confirms it.
    pub(super) async fn confirmed(&mut self) -> Result<(), NsqError> {
        match self.answer().await?.as_ref() {
            b"OK" => Ok(()),
            _ => Err(NsqError::Protocol),
        }
    }

    async fn answer(&mut self) -> Result<Bytes, NsqError> {
        self.flush().await?;
        let answer = async {
            loop {
                match self.next().await? {
                    Frame::Response(answer) => return Ok(answer),
                    Frame::Other => self.flush().await?,
                    Frame::Message(_) => return Err(NsqError::Protocol),
                }
            }
        };
        let answered = timeout(DEADLINE, answer).await;
        answered.map_err(|_| NsqError::Silent)?
    }

    /// Queues a command without a body.
    pub(super) fn queue(&mut self, command: &str) {
        self.stream.write.extend_from_slice(command.as_bytes());
        self.stream.write.push(b'\n');
    }

    /// Sends what was queued.
    pub(super) async fn flush(&mut self) -> Result<(), NsqError> {
        Ok(self.stream.flush(DEADLINE).await?)
    }

    /// The next frame. It may be dropped while it waits: nothing is lost.
    pub(super) async fn next(&mut self) -> Result<Frame, NsqError> {
        loop {
            match self.take()? {
                Some(Frame::Response(text)) if text.as_ref() == b"_heartbeat_" => {
                    self.queue("NOP");
                    return Ok(Frame::Other);
                }
                Some(frame) => return Ok(frame),
                None => {}
            }
            self.stream.fill(SILENCE).await?;
        }
    }

    /// The frame that has come in, if one has.
    fn take(&mut self) -> Result<Option<Frame>, NsqError> {
        if !self.stream.has(8) {
            return Ok(None);
        }
        let mut head = &self.stream.read[..8];
        let size = head.get_u32() as usize;
        let kind = head.get_u32();
        // The size counts the type.
        let size = size.checked_sub(4).ok_or(NsqError::Protocol)?;
        if kind != MESSAGE {
            if size > LARGEST_ANSWER || kind > ERROR {
                return Err(NsqError::Protocol);
            }
            return self.answer_of(kind, size);
        }
        let body = size.checked_sub(HEAD).ok_or(NsqError::Protocol)?;
        let whole = body <= self.largest;
        let needed = 8 + if whole { size } else { HEAD };
        let read = &mut self.stream.read;
        if read.len() < needed {
            return Ok(None);
        }
        read.advance(8);
        let timestamp = read.get_i64();
        read.advance(2);
        let id = read.split_to(ID);
        if !id.iter().all(u8::is_ascii_alphanumeric) {
            return Err(NsqError::Protocol);
        }
        let id = String::from_utf8_lossy(&id).into_owned();
        let body = if whole {
            Body::Whole(read.split_to(body).freeze())
        } else {
            self.stream.skip(body);
            Body::Skipped(body)
        };
        Ok(Some(Frame::Message(Message {
            timestamp,
            id,
            body,
        })))
    }

    fn answer_of(&mut self, kind: u32, size: usize) -> Result<Option<Frame>, NsqError> {
        let read = &mut self.stream.read;
        if read.len() < 8 + size {
            return Ok(None);
        }
        read.advance(8);
        let text = read.split_to(size).freeze();
        if kind == RESPONSE {
            return Ok(Some(Frame::Response(text)));
        }
        if LATE.iter().any(|code| text.starts_with(code)) {
            return Ok(Some(Frame::Other));
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        Err(NsqError::Refused(text))
    }
}

/// The number of whole frames in bytes of a server, with bodies of `largest` bytes at most.
pub fn read_frames(bytes: &[u8], largest: usize) -> Result<usize, NsqError> {
    let (_, stream) = tokio::io::duplex(1);
    let mut connection = Connection::new(Box::new(stream), largest);
    connection.stream.read.extend_from_slice(bytes);
    let mut frames = 0;
    while connection.take()?.is_some() {
        frames += 1;
    }
    Ok(frames)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    fn frame(kind: u32, data: &[u8]) -> Vec<u8> {
        let size = u32::try_from(data.len() + 4).expect("small");
        [&size.to_be_bytes()[..], &kind.to_be_bytes(), data].concat()
    }

    fn message(body: &[u8]) -> Vec<u8> {
        let head = [&7_i64.to_be_bytes()[..], &[0, 1], b"0123456789abcdef"].concat();
        frame(MESSAGE, &[&head, body].concat())
    }

    #[tokio::test]
    async fn frames_come_in_pieces_and_large_bodies_are_skipped() {
        let (mut server, client) = tokio::io::duplex(64);
        let sent = [
            frame(RESPONSE, b"_heartbeat_"),
            message(b"whole"),
            message(&[b'x'; 100]),
            frame(ERROR, b"E_FIN_FAILED late"),
            message(b"last"),
            frame(ERROR, b"E_INVALID"),
        ];
        let writing = tokio::spawn(async move {
            for byte in sent.concat() {
                server.write_all(&[byte]).await.expect("written");
            }
            let mut said = vec![0; 8];
            server.read_exact(&mut said).await.expect("read");
            said
        });
        let mut connection = Connection::new(Box::new(client), 10);
        let mut bodies = Vec::new();
        let refused = loop {
            match connection.next().await {
                Ok(Frame::Message(message)) => {
                    assert_eq!(
                        (message.timestamp, message.id.as_str()),
                        (7, "0123456789abcdef")
                    );
                    bodies.push(match message.body {
                        Body::Whole(body) => String::from_utf8_lossy(&body).into_owned(),
                        Body::Skipped(size) => size.to_string(),
                    });
                }
                Ok(Frame::Other) => connection.flush().await.expect("sent"),
                Ok(Frame::Response(_)) => unreachable!("none was sent"),
                Err(error) => break error.to_string(),
            }
        };
        assert_eq!(bodies, ["whole", "100", "last"]);
        assert_eq!(refused, "E_INVALID");
        assert_eq!(writing.await.expect("written"), b"  V2NOP\n");
    }

    #[test]
    fn what_is_no_frame_is_refused_before_it_is_held() {
        for bytes in [
            frame(3, b"x"),
            frame(MESSAGE, b"short"),
            [0, 0, 0, 1, 0, 0, 0, 0].to_vec(),
            [0x10, 0, 0, 0, 0, 0, 0, 0].to_vec(),
            message(b"x")
                .iter()
                .map(|byte| if *byte == b'0' { b'\n' } else { *byte })
                .collect(),
        ] {
            let (_, client) = tokio::io::duplex(8);
            let mut connection = Connection::new(Box::new(client), 10);
            connection.stream.read.extend_from_slice(&bytes);
            assert!(matches!(connection.take(), Err(NsqError::Protocol)));
        }
    }
}
