//! A client of AMQP 1.0 for servers that tenants name: all that is read has a bound, and nothing calls itself.
//!
//! The library for this protocol, `fe2o3-amqp`, reads values by calling itself for each level that a server nests, and a
//! stack that overflows ends the process for everybody.

pub(crate) mod connection;
mod encode;
mod frame;
mod link;
mod message;
mod value;

pub(crate) use encode::Fields;
pub(crate) use message::Message;
pub use value::Malformed;
pub(crate) use value::{Items, Value};

use bytes::BytesMut;

/// The number of whole frames in bytes of a server; what they carry is read as messages.
pub fn read_frames(bytes: &[u8]) -> Result<usize, Malformed> {
    let mut read = BytesMut::from(bytes);
    let mut frames = 0;
    while let Some(frame) = frame::take(&mut read)? {
        frames += 1;
        if let frame::Frame::Transfer(transfer) = frame {
            let message = Message::read(&transfer.payload)?;
            message.annotations.member("x-opt-offset")?;
            message.value.member("partition_ids")?;
        }
    }
    Ok(frames)
}
