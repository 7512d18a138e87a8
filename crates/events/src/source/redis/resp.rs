//! The wire protocol of Redis (RESP 2), as much of it as sources need: commands out, replies in.
//!
//! Own, because a reply has bounds here: texts that are longer than a message of the bus are skipped while they come
//! in, and whoever publishes faster than the bus stores is held up by TCP.

use std::{io, time::Duration};

use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

use crate::source::server::Duplex;

/// Bytes of texts in one reply.
const MOST_BYTES: usize = 64 << 20;
/// Values in one reply.
const MOST_VALUES: usize = 1 << 20;
/// Lists in lists.
const MOST_DEPTH: usize = 8;
/// Bytes of a line: a length, a number or an error.
const MOST_LINE: u64 = 64 << 10;

/// One value of a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A text, as bytes.
    Text(Vec<u8>),
    /// A text that is longer than the limit, with its length.
    Skipped(usize),
    /// A number.
    Number(i64),
    /// A list.
    List(Vec<Value>),
    /// Nothing.
    Nil,
}

/// No reply.
#[derive(Debug, Error)]
pub enum RespError {
    /// The server refuses the command.
    #[error("{0}")]
    Refused(String),
    /// The reply has more bytes or values than is taken in.
    #[error("a reply has more than {MOST_BYTES} bytes or {MOST_VALUES} values")]
    TooLarge,
    /// Another protocol, or a broken connection.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The server is silent.
    #[error("no answer in time")]
    Silent,
}

impl Value {
    /// Bytes that a text holds.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            _ => 0,
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Text(text) => Some(String::from_utf8_lossy(text).into_owned()),
            _ => None,
        }
    }

    /// The list; an empty one for everything else.
    pub(super) fn list(self) -> Vec<Value> {
        match self {
            Self::List(values) => values,
            _ => Vec::new(),
        }
    }
}

/// A connection to Redis.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Duplex>>,
    /// Longer texts are skipped.
    longest: usize,
}

impl Connection {
    /// Speaks over `stream`; texts that are longer than `longest` bytes are skipped.
    pub(super) fn new(stream: Box<dyn Duplex>, longest: usize) -> Self {
        Self {
            stream: BufReader::new(stream),
            longest: longest.min(MOST_BYTES),
        }
    }

    /// Sends a command and waits for its reply.
    pub(super) async fn call(
        &mut self,
        command: &[&str],
        deadline: Duration,
    ) -> Result<Value, RespError> {
        self.send(command).await?;
        tokio::time::timeout(deadline, self.receive())
            .await
            .map_err(|_| RespError::Silent)?
    }

    /// Sends a command.
    pub(super) async fn send(&mut self, command: &[&str]) -> Result<(), RespError> {
        let mut text = format!("*{}\r\n", command.len());
        for word in command {
            text.extend([&format!("${}\r\n", word.len()), *word, "\r\n"]);
        }
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.flush().await?;
        Ok(())
    }

    /// The next reply. Must not be dropped halfway, or the connection is of no use any more.
    pub(super) async fn receive(&mut self) -> Result<Value, RespError> {
        // Lists that are open, each with the number of values that are still to come.
        let mut open: Vec<(Vec<Value>, usize)> = Vec::new();
        let (mut bytes, mut values) = (0, 0);
        loop {
            values += 1;
            if values > MOST_VALUES || bytes > MOST_BYTES {
                return Err(RespError::TooLarge);
            }
            let line = self.line().await?;
            let (kind, rest) = line.split_at_checked(1).ok_or_else(foreign)?;
            let mut value = match kind {
                "+" => Value::Text(rest.as_bytes().to_vec()),
                "-" => return Err(RespError::Refused(rest.to_owned())),
                ":" => Value::Number(rest.parse().map_err(|_| foreign())?),
                "$" => self.text(length(rest)?).await?,
                "*" => match length(rest)? {
                    None => Value::Nil,
                    Some(0) => Value::List(Vec::new()),
                    Some(_) if open.len() == MOST_DEPTH => return Err(RespError::TooLarge),
                    Some(count) => {
                        open.push((Vec::new(), count));
                        continue;
                    }
                },
                _ => return Err(foreign().into()),
            };
            if let Value::Text(text) = &value {
                bytes += text.len();
            }
            loop {
                let Some((mut list, left)) = open.pop() else {
                    return Ok(value);
                };
                list.push(value);
                if left > 1 {
                    open.push((list, left - 1));
                    break;
                }
                value = Value::List(list);
            }
        }
    }

    async fn line(&mut self) -> Result<String, RespError> {
        let mut line = Vec::new();
        let mut limited = (&mut self.stream).take(MOST_LINE);
        limited.read_until(b'\n', &mut line).await?;
        if line.is_empty() {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server closed the connection",
            )
            .into());
        }
        let line = line.strip_suffix(b"\r\n").ok_or_else(foreign)?;
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    async fn text(&mut self, length: Option<usize>) -> Result<Value, RespError> {
        let Some(length) = length else {
            return Ok(Value::Nil);
        };
        let value = if length > self.longest {
            let all = u64::try_from(length).map_err(|_| foreign())?;
            let mut skipped = (&mut self.stream).take(all);
            tokio::io::copy(&mut skipped, &mut tokio::io::sink()).await?;
            Value::Skipped(length)
        } else {
            let mut text = vec![0; length];
            self.stream.read_exact(&mut text).await?;
            Value::Text(text)
        };
        let mut end = [0; 2];
        self.stream.read_exact(&mut end).await?;
        if &end == b"\r\n" {
            Ok(value)
        } else {
            Err(foreign().into())
        }
    }
}

/// Reads `bytes` as one reply, whose texts may have up to `longest` bytes.
pub async fn read_reply(bytes: &[u8], longest: usize) -> Result<(), RespError> {
    let input = io::Cursor::new(bytes.to_vec());
    let stream = tokio::io::join(input, tokio::io::sink());
    let reply = Connection::new(Box::new(stream), longest).receive().await?;
    drop(reply);
    Ok(())
}

/// A length; `None` for nothing.
fn length(text: &str) -> Result<Option<usize>, io::Error> {
    match text {
        "-1" => Ok(None),
        text => text.parse().map(Some).map_err(|_| foreign()),
    }
}

fn foreign() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the server does not speak the protocol of Redis",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(reply: &'static [u8]) -> Result<Value, RespError> {
        let (client, mut server) = tokio::io::duplex(1 << 20);
        server.write_all(reply).await.expect("written");
        drop(server);
        Connection::new(Box::new(client), 5).receive().await
    }

    #[tokio::test]
    async fn replies_nest_and_texts_beyond_the_limit_are_skipped() {
        let reply = b"*3\r\n$1\r\na\r\n*2\r\n:7\r\n$-1\r\n*1\r\n$6\r\nabcdef\r\n";
        let list = Value::List;
        assert_eq!(
            read(reply).await.expect("a reply"),
            list(vec![
                Value::Text(b"a".to_vec()),
                list(vec![Value::Number(7), Value::Nil]),
                list(vec![Value::Skipped(6)]),
            ])
        );
        assert_eq!(read(b"*-1\r\n").await.expect("a reply"), Value::Nil);
        assert_eq!(read(b"*0\r\n").await.expect("a reply"), list(vec![]));
    }

    #[tokio::test]
    async fn another_protocol_and_hostile_replies_are_errors() {
        let text = async |reply| read(reply).await.expect_err("no reply").to_string();
        assert_eq!(text(b"-WRONGPASS no\r\n").await, "WRONGPASS no");
        assert!(
            text(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .contains("the protocol of Redis")
        );
        assert!(text(b"$5\r\nabc").await.contains("eof"));
        assert!(text(b"").await.contains("closed"));
        assert!(
            text(b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n")
                .await
                .contains("more than")
        );
        assert!(
            text(b"*99999999999999999999\r\n")
                .await
                .contains("the protocol of Redis")
        );
        // The length alone takes no memory.
        assert!(text(b"*9999999999\r\n").await.contains("closed"));
    }
}
