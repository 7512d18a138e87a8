//! Frames of AMQP 1.0: what a server says about the connection, its session and its links, and what it hears.

use bytes::{Buf, Bytes, BytesMut};

use super::{
    encode::{Fields, composite},
    value::{Items, Malformed, Reader, Value},
};

/// Bytes of a frame that a server may send.
pub(crate) const LARGEST: u32 = 256 << 10;
/// Bytes before a frame, and before its body where there is nothing else.
const HEAD: usize = 8;

/// Kinds of frames.
const AMQP: u8 = 0;
const SASL: u8 = 1;

/// What a server says of an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) condition: String,
    pub(crate) description: String,
}

/// A frame.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// The server is there.
    Empty,
    /// The ways to log in.
    Mechanisms,
    /// Whether the login is good.
    Outcome(u64),
    Open {
        /// Largest frame that it takes.
        largest: u32,
        /// It closes a connection on which nothing comes for so many milliseconds.
        silence: Option<u32>,
    },
    Begin {
        /// Number of its next transfer.
        next: u32,
    },
    Attach {
        name: String,
        handle: u32,
        /// Number of deliveries of a link of the server before the first.
        delivered: u32,
    },
    Flow {
        handle: Option<u32>,
        credit: u32,
    },
    Transfer(Transfer),
    /// A link ends.
    Detach {
        handle: u32,
        fault: Option<Fault>,
    },
    /// The session or the connection ends.
    End(Option<Fault>),
    /// What nothing here waits for.
    Other,
}

/// A message, or a part of one.
#[derive(Debug, PartialEq)]
pub(crate) struct Transfer {
    pub(crate) handle: u32,
    pub(crate) delivery: Option<u32>,
    pub(crate) settled: bool,
    pub(crate) more: bool,
    pub(crate) aborted: bool,
    pub(crate) payload: Bytes,
}

/// Takes a frame that has come in whole.
pub(crate) fn take(read: &mut BytesMut) -> Result<Option<Frame>, Malformed> {
    let Some(head) = read.get(..HEAD) else {
        return Ok(None);
    };
    let mut head = head;
    let size = head.get_u32();
    let offset = usize::from(head.get_u8()) * 4;
    let kind = head.get_u8();
    let size = usize::try_from(size.min(LARGEST + 1)).map_err(|_| Malformed)?;
    if size > LARGEST as usize || offset < HEAD || offset > size || kind > SASL {
        return Err(Malformed);
    }
    if read.len() < size {
        return Ok(None);
    }
    let body = read.split_to(size).freeze().slice(offset..);
    if body.is_empty() {
        return Ok(Some(Frame::Empty));
    }
    performative(&body).map(Some)
}

fn performative(body: &Bytes) -> Result<Frame, Malformed> {
    let mut reader = Reader(body);
    let Value::Described(code, mut inner) = reader.value()? else {
        return Err(Malformed);
    };
    let Value::List(mut fields) = inner.value()? else {
        return Err(Malformed);
    };
    match code {
        0x10 => {
            skip(&mut fields, 2)?;
            let largest = number(&mut fields)?.unwrap_or(u32::MAX);
            skip(&mut fields, 1)?;
            Ok(Frame::Open {
                largest,
                silence: number(&mut fields)?,
            })
        }
        0x11 => {
            skip(&mut fields, 1)?;
            Ok(Frame::Begin {
                next: number(&mut fields)?.unwrap_or_default(),
            })
        }
        0x12 => {
            let name = fields.field()?.text().ok_or(Malformed)?.to_owned();
            let handle = number(&mut fields)?.ok_or(Malformed)?;
            skip(&mut fields, 7)?;
            Ok(Frame::Attach {
                name,
                handle,
                delivered: number(&mut fields)?.unwrap_or_default(),
            })
        }
        0x13 => {
            skip(&mut fields, 4)?;
            let handle = number(&mut fields)?;
            skip(&mut fields, 1)?;
            let credit = number(&mut fields)?.unwrap_or_default();
            Ok(Frame::Flow { handle, credit })
        }
        0x14 => {
            let handle = number(&mut fields)?.ok_or(Malformed)?;
            let delivery = number(&mut fields)?;
            skip(&mut fields, 2)?;
            let (settled, more) = (fields.field()?.is_true(), fields.field()?.is_true());
            skip(&mut fields, 3)?;
            Ok(Frame::Transfer(Transfer {
                handle,
                delivery,
                settled,
                more,
                aborted: fields.field()?.is_true(),
                payload: body.slice(body.len() - reader.0.len()..),
            }))
        }
        0x16 => {
            let handle = number(&mut fields)?.ok_or(Malformed)?;
            skip(&mut fields, 1)?;
            let fault = fault(fields.field()?)?;
            Ok(Frame::Detach { handle, fault })
        }
        0x17 | 0x18 => Ok(Frame::End(fault(fields.field()?)?)),
        0x40 => Ok(Frame::Mechanisms),
        0x44 => Ok(Frame::Outcome(fields.field()?.unsigned().ok_or(Malformed)?)),
        _ => Ok(Frame::Other),
    }
}

fn skip(fields: &mut Items<'_>, count: usize) -> Result<(), Malformed> {
    (0..count).try_for_each(|_| fields.field().map(|_| ()))
}

fn number(fields: &mut Items<'_>) -> Result<Option<u32>, Malformed> {
    let number = fields.field()?.unsigned();
    let number = number.map(|number| u32::try_from(number).map_err(|_| Malformed));
    number.transpose()
}

fn fault(value: Value<'_>) -> Result<Option<Fault>, Malformed> {
    let Value::Described(_, mut inner) = value else {
        return Ok(None);
    };
    let Value::List(mut fields) = inner.value()? else {
        return Ok(None);
    };
    let mut text = || {
        let text = fields.field()?.text().unwrap_or_default();
        Ok::<_, Malformed>(text.chars().take(512).collect())
    };
    Ok(Some(Fault {
        condition: text()?,
        description: text()?,
    }))
}

/// A frame of the connection, with a payload behind its list.
pub(crate) fn frame(code: u8, fields: Fields, payload: &[u8]) -> Vec<u8> {
    framed(AMQP, &[&composite(code, fields), payload].concat())
}

/// A frame of the login.
pub(crate) fn login(code: u8, fields: Fields) -> Vec<u8> {
    framed(SASL, &composite(code, fields))
}

/// A frame that says nothing.
pub(crate) fn empty() -> Vec<u8> {
    framed(AMQP, &[])
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let size = u32::try_from(body.len() + HEAD).unwrap_or(u32::MAX);
    // The channel is always the first.
    [&size.to_be_bytes()[..], &[2, kind, 0, 0], body].concat()
}
