//! Batches of records: read one record at a time, whatever a batch unpacks to.

use std::io::{self, BufReader, Read};

use bytes::{Buf, Bytes};

use super::wire::{NotKafka, Reader, Writer, varint};

/// Format of batches since Kafka 0.11.
const MAGIC: i8 = 2;
/// Bits of the attributes.
const COMPRESSION: i16 = 0b111;
const SNAPPY: i16 = 2;
const APPENDED: i16 = 1 << 3;
const CONTROL: i16 = 1 << 5;
/// Bytes before the length of a batch ends.
const LENGTH: usize = 12;
/// Largest window of a batch in Zstandard, and largest block in Snappy.
const MOST: usize = 32 << 20;
/// What a record takes beside its value.
const AROUND: usize = 256 << 10;

/// A record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) offset: i64,
    /// Milliseconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Vec<u8>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
}

/// A record of a batch.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Item {
    Record(Record),
    /// It has so many bytes.
    TooLarge(usize),
}

/// A batch as it was sent.
#[derive(Clone, Debug)]
pub(crate) struct Batch {
    pub(crate) base: i64,
    attributes: i16,
    last: i32,
    timestamp: i64,
    newest: i64,
    count: i32,
    packed: Bytes,
}

impl Batch {
    /// Takes the first batch; `None` where only a part of one is left.
    pub(crate) fn take(bytes: &mut Bytes) -> Result<Option<Self>, NotKafka> {
        let Some(head) = bytes.get(..LENGTH) else {
            return Ok(None);
        };
        let length = (&head[8..]).get_i32();
        let length = usize::try_from(length).map_err(|_| NotKafka)?;
        if bytes.len() - LENGTH < length {
            return Ok(None);
        }
        Self::read(&bytes.split_to(LENGTH + length)).map(Some)
    }

    /// Reads a batch, or its beginning.
    pub(crate) fn read(bytes: &Bytes) -> Result<Self, NotKafka> {
        let mut reader = Reader::new(bytes);
        let base = reader.i64()?;
        let (_length, _epoch, magic) = (reader.i32()?, reader.i32()?, reader.i8()?);
        if magic != MAGIC {
            return Err(NotKafka);
        }
        let _checksum = reader.i32()?;
        let (attributes, last) = (reader.i16()?, reader.i32()?);
        let (timestamp, newest) = (reader.i64()?, reader.i64()?);
        let (_producer, _epoch, _sequence) = (reader.i64()?, reader.i16()?, reader.i32()?);
        Ok(Self {
            base,
            attributes,
            last,
            timestamp,
            newest,
            count: reader.i32()?,
            packed: bytes.slice_ref(reader.rest()),
        })
    }

    /// The offset behind it.
    pub(crate) fn next(&self) -> i64 {
        self.base.saturating_add(self.last.into()).saturating_add(1)
    }

    /// Its records, none of which is read whose value is larger than `largest`.
    pub(crate) fn records(&self, largest: usize) -> io::Result<Records> {
        // Marks of transactions are no records.
        let count = if self.attributes & CONTROL == 0 {
            self.count
        } else {
            0
        };
        Ok(Records {
            reader: unpacked(self.attributes & COMPRESSION, self.packed.clone())?,
            left: count,
            base: self.base,
            timestamp: self.timestamp,
            appended: (self.attributes & APPENDED != 0).then_some(self.newest),
            most: largest.saturating_add(AROUND),
        })
    }
}

/// The records of a batch.
pub(crate) struct Records {
    reader: Box<dyn Read + Send>,
    left: i32,
    base: i64,
    timestamp: i64,
    /// When the broker stored them, where that is their time.
    appended: Option<i64>,
    most: usize,
}

impl Records {
    /// The next record.
    pub(crate) fn next(&mut self) -> io::Result<Option<Item>> {
        if self.left <= 0 {
            return Ok(None);
        }
        self.left -= 1;
        let length = usize::try_from(self.varint()?).map_err(|_| broken())?;
        let mut record = (&mut self.reader).take(length as u64);
        if length > self.most {
            if io::copy(&mut record, &mut io::sink())? < length as u64 {
                return Err(broken());
            }
            return Ok(Some(Item::TooLarge(length)));
        }
        let mut bytes = Vec::new();
        if record.read_to_end(&mut bytes)? < length {
            return Err(broken());
        }
        let record = self.record(&bytes).map_err(|NotKafka| broken())?;
        Ok(Some(Item::Record(record)))
    }

    fn varint(&mut self) -> io::Result<i64> {
        let number = varint(|| {
            let mut byte = [0];
            self.reader.read_exact(&mut byte)?;
            Ok::<_, io::Error>(byte[0])
        })?;
        number.ok_or_else(broken)
    }

    fn record(&self, bytes: &[u8]) -> Result<Record, NotKafka> {
        let mut reader = Reader::new(bytes);
        let _attributes = reader.i8()?;
        let timestamp = self.timestamp.saturating_add(reader.varint()?);
        let offset = self.base.saturating_add(reader.varint()?);
        let key = reader.short_bytes()?.map(<[u8]>::to_vec);
        let value = reader.short_bytes()?.unwrap_or_default().to_vec();
        let mut headers = Vec::new();
        for _ in 0..reader.varint()? {
            let name = reader.short_bytes()?.unwrap_or_default();
            let name = String::from_utf8_lossy(name).into_owned();
            headers.push((name, reader.short_bytes()?.unwrap_or_default().to_vec()));
        }
        Ok(Record {
            offset,
            timestamp: self.appended.unwrap_or(timestamp),
            key,
            value,
            headers,
        })
    }
}

fn broken() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

fn unpacked(compression: i16, packed: Bytes) -> io::Result<Box<dyn Read + Send>> {
    let packed = packed.reader();
    Ok(match compression {
        0 => Box::new(packed),
        1 => Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(packed))),
        SNAPPY => Box::new(Snappy::new(packed.into_inner())),
        3 => Box::new(BufReader::new(lz4_flex::frame::FrameDecoder::new(packed))),
        4 => {
            let decoder =
                ruzstd::decoding::StreamingDecoder::new_with_max_window_size(packed, MOST as u64);
            Box::new(BufReader::new(decoder.map_err(io::Error::other)?))
        }
        _ => return Err(io::Error::from(io::ErrorKind::Unsupported)),
    })
}

/// Snappy, as one block or in the blocks that Java clients write.
struct Snappy {
    packed: Bytes,
    blocks: bool,
    block: io::Cursor<Vec<u8>>,
}

impl Snappy {
    fn new(packed: Bytes) -> Self {
        const JAVA: &[u8] = b"\x82SNAPPY\0";
        // The versions follow, of 8 bytes together.
        let blocks = packed.starts_with(JAVA) && packed.len() >= JAVA.len() + 8;
        let packed = if blocks {
            packed.slice(JAVA.len() + 8..)
        } else {
            packed
        };
        Self {
            packed,
            blocks,
            block: io::Cursor::default(),
        }
    }

    fn next_block(&mut self) -> io::Result<()> {
        let block = if self.blocks {
            let length = self.packed.try_get_u32().map_err(|_| broken())?;
            let length = usize::try_from(length).map_err(|_| broken())?;
            if length > self.packed.len() {
                return Err(broken());
            }
            self.packed.split_to(length)
        } else {
            self.packed.split_off(0)
        };
        if snap::raw::decompress_len(&block)? > MOST {
            return Err(broken());
        }
        let bytes = snap::raw::Decoder::new().decompress_vec(&block)?;
        self.block = io::Cursor::new(bytes);
        Ok(())
    }
}

impl Read for Snappy {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.block.read(buffer)?;
            if read > 0 || buffer.is_empty() || self.packed.is_empty() {
                return Ok(read);
            }
            self.next_block()?;
        }
    }
}

/// A batch of one record, whose offset the broker gives it.
pub(crate) fn batch(record: &Record, compressed: bool) -> io::Result<Vec<u8>> {
    let length = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let body = Writer::default()
        .i8(0)
        .varint(0)
        .varint(0)
        .short_bytes(record.key.as_deref())
        .short_bytes(Some(&record.value))
        .varint(length(record.headers.len()));
    let body = record.headers.iter().fold(body, |writer, (name, value)| {
        writer
            .short_bytes(Some(name.as_bytes()))
            .short_bytes(Some(value))
    });
    let mut records = Writer::default().short_bytes(Some(&body.0)).0;
    if compressed {
        records = snap::raw::Encoder::new().compress_vec(&records)?;
    }
    let content = Writer::default()
        .i16(if compressed { SNAPPY } else { 0 })
        // The last record is the first.
        .i32(0)
        .i64(record.timestamp)
        .i64(record.timestamp)
        // No producer that the broker knows.
        .i64(-1)
        .i16(-1)
        .i32(-1)
        .i32(1)
        .raw(&records)
        .0;
    let checksum = crc32c::crc32c(&content);
    let rest = Writer::default()
        .i32(-1)
        .i8(MAGIC)
        .i32(checksum.cast_signed())
        .raw(&content)
        .0;
    Ok(Writer::default().i64(0).bytes(&rest).0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(size: usize) -> Record {
        Record {
            offset: 0,
            timestamp: 1_577_836_800_123,
            key: Some(b"k".to_vec()),
            value: vec![b'v'; size],
            headers: vec![("tenant".to_owned(), b"a".to_vec())],
        }
    }

    fn read(bytes: &mut Bytes, largest: usize) -> io::Result<Vec<Item>> {
        let batch = Batch::take(bytes).expect("a batch").expect("whole");
        let mut records = batch.records(largest)?;
        let mut items = Vec::new();
        while let Some(item) = records.next()? {
            items.push(item);
        }
        Ok(items)
    }

    #[test]
    fn a_batch_is_read_as_it_is_written() {
        for compressed in [false, true] {
            let record = record(100_000);
            let one = batch(&record, compressed).expect("packed");
            // The broker sends the beginning of a further batch.
            let mut bytes = Bytes::from([&one[..], &one[..50]].concat());
            let items = read(&mut bytes, 1 << 20).expect("records");
            assert_eq!(items, [Item::Record(record)]);
            assert!(Batch::take(&mut bytes).expect("a part").is_none());
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_not_kept() {
        let mut bytes = Bytes::from(batch(&record(AROUND + 100), true).expect("packed"));
        let items = read(&mut bytes, 10).expect("records");
        assert!(matches!(items[..], [Item::TooLarge(size)] if size > AROUND));
    }

    #[test]
    fn blocks_of_java_clients_are_read() {
        let block = |text: &[u8]| {
            let packed = snap::raw::Encoder::new()
                .compress_vec(text)
                .expect("packed");
            Writer::default().bytes(&packed).0
        };
        let head = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
        let packed = [&head[..], &block(b"one "), &block(b"two")].concat();
        let mut text = String::new();
        let mut reader = unpacked(SNAPPY, packed.into()).expect("a reader");
        reader.read_to_string(&mut text).expect("unpacked");
        assert_eq!(text, "one two");
    }

    #[test]
    fn a_batch_that_is_broken_ends_with_an_error() {
        let whole = batch(&record(100), true).expect("packed");
        for (at, byte) in [(70, 0xFF), (62, 0x80)] {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            assert!(read(&mut bytes.into(), 1 << 20).is_err(), "byte {at}");
        }
        let mut old = whole;
        old[16] = 1;
        assert!(Batch::take(&mut old.into()).is_err());
    }
}
