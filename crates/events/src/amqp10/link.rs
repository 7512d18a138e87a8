//! Links of a connection, what comes in on them, and why none does.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use thiserror::Error;

use super::{
    frame::{Fault, Transfer},
    value::Malformed,
};

/// What is asked is answered, and what is sent is taken, within this time.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// The connection does not work.
#[derive(Debug, Error)]
pub(crate) enum AmqpError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("no answer within {} s", DEADLINE.as_secs())]
    Late,
    #[error("the server is silent")]
    Silent,
    #[error("the server refuses the login")]
    Login,
    #[error("{0}")]
    Refused(String),
}

impl AmqpError {
    pub(super) fn refused(fault: Option<Fault>) -> Self {
        Self::Refused(match fault {
            Some(fault) => format!("{}: {}", fault.condition, fault.description),
            None => "the server has closed the link".to_owned(),
        })
    }
}

/// What comes in.
#[derive(Debug)]
pub(crate) enum Event {
    /// A message of a link.
    Message(usize, Content),
    /// Something else; what was queued meanwhile is sent.
    Other,
}

/// What a message holds.
#[derive(Debug)]
pub(crate) enum Content {
    Whole(Bytes),
    /// So many bytes, which were skipped.
    Skipped(usize),
}

/// One end of a link.
pub(super) struct Link {
    pub(super) name: String,
    /// Its number at the server.
    pub(super) handle: Option<u32>,
    pub(super) receives: bool,
    /// Messages that have passed.
    pub(super) delivered: u32,
    /// Messages that may pass.
    pub(super) credit: u32,
    /// What has come in of a message, and the bytes of it that are skipped.
    pub(super) part: BytesMut,
    skipped: usize,
    delivery: Option<u32>,
}

impl Link {
    pub(super) fn new(name: String, receives: bool) -> Self {
        Self {
            name,
            handle: None,
            receives,
            delivered: 0,
            credit: 0,
            part: BytesMut::new(),
            skipped: 0,
            delivery: None,
        }
    }

    /// Takes a part of a message. Its content when it is the last part, and the delivery where the server waits to hear
    /// that it came. Messages of more than `largest` bytes are skipped.
    pub(super) fn take(
        &mut self,
        transfer: Transfer,
        largest: usize,
    ) -> Result<Option<(Content, Option<u32>)>, Malformed> {
        // A server that sends more than it may would fill the memory.
        if !self.receives || self.credit == 0 {
            return Err(Malformed);
        }
        if transfer.aborted {
            self.part.clear();
            self.skipped = 0;
            return Ok(None);
        }
        self.delivery = transfer.delivery.or(self.delivery);
        let size = self.part.len() + transfer.payload.len();
        if self.skipped > 0 || size > largest {
            self.skipped += size;
            self.part.clear();
        } else if transfer.more || !self.part.is_empty() {
            self.part.extend_from_slice(&transfer.payload);
        }
        if transfer.more {
            return Ok(None);
        }
        self.delivered = self.delivered.wrapping_add(1);
        self.credit -= 1;
        let content = match (std::mem::take(&mut self.skipped), self.part.is_empty()) {
            (0, true) => Content::Whole(transfer.payload),
            (0, false) => Content::Whole(std::mem::take(&mut self.part).freeze()),
            (size, _) => Content::Skipped(size),
        };
        let delivery = self.delivery.take().filter(|_| !transfer.settled);
        Ok(Some((content, delivery)))
    }
}

/// A pair of links to ask a node with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    pub(super) sender: usize,
    pub(crate) receiver: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(payload: &'static [u8], more: bool) -> Transfer {
        Transfer {
            handle: 0,
            delivery: Some(7),
            settled: false,
            more,
            aborted: false,
            payload: Bytes::from_static(payload),
        }
    }

    fn link() -> Link {
        Link {
            credit: 2,
            ..Link::new("link".to_owned(), true)
        }
    }

    #[test]
    fn messages_are_put_together_and_large_ones_are_skipped() {
        let mut link = link();
        assert!(matches!(link.take(part(b"12", true), 4), Ok(None)));
        let taken = link.take(part(b"34", false), 4);
        let Ok(Some((Content::Whole(whole), Some(7)))) = taken else {
            unreachable!("{taken:?}");
        };
        assert_eq!(whole.as_ref(), b"1234");
        assert!(matches!(link.take(part(b"123", true), 4), Ok(None)));
        assert!(matches!(link.take(part(b"45", true), 4), Ok(None)));
        assert!(link.part.is_empty());
        let taken = link.take(part(b"6", false), 4);
        assert!(
            matches!(taken, Ok(Some((Content::Skipped(6), Some(7))))),
            "{taken:?}"
        );
        // There is no credit for a third one.
        assert_eq!((link.delivered, link.credit), (2, 0));
        assert!(link.take(part(b"7", false), 4).is_err());
    }

    #[test]
    fn what_the_server_gives_up_is_forgotten() {
        let mut link = link();
        assert!(matches!(link.take(part(b"12", true), 4), Ok(None)));
        let aborted = Transfer {
            aborted: true,
            ..part(b"", false)
        };
        assert!(matches!(link.take(aborted, 4), Ok(None)));
        let taken = link.take(part(b"3", false), 4);
        assert!(
            matches!(&taken, Ok(Some((Content::Whole(whole), _))) if whole.as_ref() == b"3"),
            "{taken:?}"
        );
    }
}
