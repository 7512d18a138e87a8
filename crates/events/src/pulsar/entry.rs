//! Entries of a topic: one message, or a batch of them.

use std::io::{self, Read};

use bytes::{Buf, Bytes};
use prost::Message as _;
use thiserror::Error;

use super::{
    connection::{Body, CHECKSUM},
    proto::{Metadata, SingleMetadata},
};

/// Bytes that an entry may unpack to.
const LARGEST: usize = 8 << 20;
/// Messages of a batch.
const MOST_MESSAGES: u32 = 1 << 20;

/// An entry of which no event can be made.
#[derive(Debug, Error)]
pub(crate) enum Unreadable {
    #[error("its metadata cannot be read")]
    Metadata,
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it cannot be unpacked: {0}")]
    Packed(#[from] io::Error),
    #[error("its messages cannot be separated")]
    Batch,
    #[error("it is encrypted")]
    Encrypted,
    #[error("it is a part of a message in chunks")]
    Chunk,
}

/// A message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// Its place in the batch; `None` where it is alone.
    pub(crate) index: Option<u32>,
    pub(crate) key: String,
    pub(crate) payload: Bytes,
}

/// An entry as it was sent.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) metadata: Metadata,
    packed: Bytes,
}

/// What came in.
#[derive(Debug)]
pub(crate) enum Received {
    Entry(Entry),
    /// It has so many bytes, which are not held.
    TooLarge(usize),
    Unreadable(Unreadable),
}

/// Reads what came in, and how many messages it has.
pub(crate) fn received(body: Body) -> (Received, u32) {
    let (whole, size) = match body {
        Body::Whole(body) => (Entry::whole(body), None),
        Body::Prefix(begin, size) => (Entry::parse(begin, false), Some(size)),
    };
    let count = whole.as_ref().map_or(1, Entry::count);
    let received = match (whole, size) {
        (_, Some(size)) => Received::TooLarge(size),
        (Err(error), _) => Received::Unreadable(error),
        (Ok(entry), None) => match entry.unpacked_size() {
            size if size > LARGEST => Received::TooLarge(size),
            _ => Received::Entry(entry),
        },
    };
    (received, count)
}

impl Entry {
    fn whole(body: Bytes) -> Result<Self, Unreadable> {
        let entry = Self::parse(body, true)?;
        if entry.metadata.encryption.is_some() {
            return Err(Unreadable::Encrypted);
        }
        if entry.metadata.chunks.is_some_and(|chunks| chunks > 1) {
            return Err(Unreadable::Chunk);
        }
        Ok(entry)
    }

    fn parse(mut body: Bytes, whole: bool) -> Result<Self, Unreadable> {
        if body.len() >= 6 && body[..2] == CHECKSUM.to_be_bytes() {
            body.advance(2);
            let checksum = body.get_u32();
            if whole && crc32c::crc32c(&body) != checksum {
                return Err(Unreadable::Checksum);
            }
        }
        let metadata = part(&mut body).ok_or(Unreadable::Metadata)?;
        let metadata = Metadata::decode(metadata).map_err(|_| Unreadable::Metadata)?;
        Ok(Self {
            metadata,
            packed: body,
        })
    }

    /// Messages, as the broker counts them.
    fn count(&self) -> u32 {
        let count = self.metadata.messages.unwrap_or(1);
        u32::try_from(count).unwrap_or(1).clamp(1, MOST_MESSAGES)
    }

    /// Bytes that it needs in memory beside those that came in.
    pub(crate) fn unpacked_size(&self) -> usize {
        match self.metadata.compression.unwrap_or_default() {
            0 => 0,
            _ => self.metadata.uncompressed_size.unwrap_or_default() as usize,
        }
    }

    /// Bytes that came in.
    pub(crate) fn held(&self) -> usize {
        self.packed.len()
    }

    /// Its messages.
    pub(crate) fn messages(self) -> Result<Messages, Unreadable> {
        let count = self.metadata.messages.map(|_| self.count());
        let unpacked = self.unpack()?;
        Ok(Messages {
            unpacked,
            key: self.metadata.partition_key.unwrap_or_default(),
            next: 0,
            count,
        })
    }

    fn unpack(&self) -> io::Result<Bytes> {
        let size = self.unpacked_size();
        let unpacked = match self.metadata.compression.unwrap_or_default() {
            0 => return Ok(self.packed.clone()),
            1 => lz4_flex::block::decompress(&self.packed, size).map_err(io::Error::other)?,
            2 => limited(flate2::read::ZlibDecoder::new(&self.packed[..]), size)?,
            3 => {
                let decoder = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(
                    &self.packed[..],
                    LARGEST as u64,
                );
                limited(decoder.map_err(io::Error::other)?, size)?
            }
            4 if snap::raw::decompress_len(&self.packed)? == size => {
                snap::raw::Decoder::new().decompress_vec(&self.packed)?
            }
            _ => return Err(io::Error::from(io::ErrorKind::Unsupported)),
        };
        if unpacked.len() == size {
            Ok(unpacked.into())
        } else {
            Err(io::Error::from(io::ErrorKind::InvalidData))
        }
    }
}

/// One byte more than there should be shows that there is too much.
fn limited(reader: impl Read, size: usize) -> io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    reader.take(size as u64 + 1).read_to_end(&mut unpacked)?;
    Ok(unpacked)
}

/// A part with its length before it.
fn part(bytes: &mut Bytes) -> Option<Bytes> {
    if bytes.len() < 4 {
        return None;
    }
    let size = bytes.get_u32() as usize;
    (size <= bytes.len()).then(|| bytes.split_to(size))
}

/// The messages of an entry, one at a time.
#[derive(Debug)]
pub(crate) struct Messages {
    unpacked: Bytes,
    key: String,
    next: u32,
    /// Of a batch.
    count: Option<u32>,
}

impl Messages {
    /// The next message that compaction has left.
    pub(crate) fn next(&mut self) -> Result<Option<Message>, Unreadable> {
        let Some(count) = self.count else {
            let alone = self.next == 0;
            self.next = 1;
            return Ok(alone.then(|| Message {
                index: None,
                key: std::mem::take(&mut self.key),
                payload: std::mem::take(&mut self.unpacked),
            }));
        };
        while self.next < count {
            let index = self.next;
            self.next += 1;
            let metadata = part(&mut self.unpacked).ok_or(Unreadable::Batch)?;
            let metadata = SingleMetadata::decode(metadata).map_err(|_| Unreadable::Batch)?;
            let size = usize::try_from(metadata.payload_size).map_err(|_| Unreadable::Batch)?;
            if size > self.unpacked.len() {
                return Err(Unreadable::Batch);
            }
            let payload = self.unpacked.split_to(size);
            if metadata.compacted_out != Some(true) {
                return Ok(Some(Message {
                    index: Some(index),
                    key: metadata.partition_key.unwrap_or_default(),
                    payload,
                }));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pulsar::connection::encoded;

    fn all(body: Vec<u8>) -> Result<Vec<Message>, String> {
        let entry = match received(Body::Whole(body.into())) {
            (Received::Entry(entry), _) => entry,
            (other, _) => return Err(format!("{other:?}")),
        };
        let mut messages = entry.messages().map_err(|error| error.to_string())?;
        let mut all = Vec::new();
        while let Some(message) = messages.next().map_err(|error| error.to_string())? {
            all.push(message);
        }
        Ok(all)
    }

    fn batch(payloads: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for payload in payloads {
            let metadata = SingleMetadata {
                partition_key: Some("k".to_owned()),
                payload_size: i32::try_from(payload.len()).expect("small"),
                compacted_out: payload.is_empty().then_some(true),
            };
            let metadata = metadata.encode_to_vec();
            let size = u32::try_from(metadata.len()).expect("small");
            bytes.extend_from_slice(&size.to_be_bytes());
            bytes.extend_from_slice(&metadata);
            bytes.extend_from_slice(payload.as_bytes());
        }
        bytes
    }

    #[test]
    fn a_batch_gives_its_messages_with_their_places() {
        let metadata = Metadata {
            messages: Some(3),
            ..Metadata::default()
        };
        let body = encoded(&metadata, &batch(&["a", "", "ccc"]));
        let message = |index, payload: &'static str| Message {
            index: Some(index),
            key: "k".to_owned(),
            payload: Bytes::from_static(payload.as_bytes()),
        };
        assert_eq!(
            all(body.clone()),
            Ok(vec![message(0, "a"), message(2, "ccc")])
        );
        assert_eq!(received(Body::Prefix(body.into(), 9 << 20)).1, 3);
    }

    #[test]
    fn entries_that_lie_about_themselves_are_refused() {
        let packed = flate(&vec![b' '; 1000]);
        let said = |compression, size| Metadata {
            compression: Some(compression),
            uncompressed_size: Some(size),
            ..Metadata::default()
        };
        assert_eq!(
            all(encoded(&said(2, 1000), &packed)).expect("good").len(),
            1
        );
        for (metadata, payload) in [
            (said(2, 999), packed.clone()),
            (said(2, 1001), packed.clone()),
            (said(1, 1000), packed.clone()),
            (said(3, 1000), packed.clone()),
            (said(4, 1000), packed.clone()),
            (said(9, 1000), packed.clone()),
            (said(2, u32::MAX), packed),
            (
                Metadata {
                    messages: Some(i32::MAX),
                    ..Metadata::default()
                },
                batch(&["a"]),
            ),
            (
                Metadata {
                    messages: Some(2),
                    ..Metadata::default()
                },
                vec![0xff; 100],
            ),
            (
                Metadata {
                    encryption: Some(Vec::new()),
                    ..Metadata::default()
                },
                Vec::new(),
            ),
            (
                Metadata {
                    chunks: Some(2),
                    ..Metadata::default()
                },
                Vec::new(),
            ),
        ] {
            all(encoded(&metadata, &payload)).expect_err("refused");
        }
        let mut broken = encoded(&Metadata::default(), b"payload");
        broken.pop();
        assert!(all(broken).expect_err("refused").contains("Checksum"));
        all(Vec::new()).expect_err("nothing there");
    }

    fn flate(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        let mut encoder = flate2::read::ZlibEncoder::new(bytes, flate2::Compression::fast());
        encoder.read_to_end(&mut packed).expect("packed");
        packed
    }
}
