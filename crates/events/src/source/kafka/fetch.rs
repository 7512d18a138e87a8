//! Fetches batches of the partitions that one broker leads.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::kafka::{
    connection::{Answer, Connection, DEADLINE, KafkaError, checked},
    records::Batch,
    requests::{EARLIEST, FETCH, LATEST, offset_at, partitions, topic},
    wire::{NotKafka, Reader, Writer},
};

/// Milliseconds that a broker waits for records.
const WAIT: i32 = 5000;
/// Bytes that a fetch asks for; a batch that is larger comes all the same.
const FETCHED: i32 = 1 << 20;

/// What a fetch brought of one partition.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) partition: i32,
    /// Error code of the protocol.
    pub(super) code: i16,
    pub(super) batches: Bytes,
    /// A batch that does not fit into memory, with its size.
    pub(super) too_large: Option<(Batch, usize)>,
}

/// Partitions of one leader, with the offset of the next record of each.
pub(super) struct Claims {
    pub(super) leader: Connection,
    pub(super) topic: String,
    pub(super) offsets: BTreeMap<i32, i64>,
}

impl Claims {
    /// The offset at which a partition begins that has none.
    pub(super) async fn start(&mut self, partition: i32, oldest: bool) -> Result<i64, KafkaError> {
        let time = if oldest { EARLIEST } else { LATEST };
        offset_at(&mut self.leader, (&self.topic, partition), time).await
    }

    /// The next batches of all partitions. Where they take too much memory, partitions are asked one by one.
    pub(super) async fn fetch(&mut self) -> Result<Vec<Fetched>, KafkaError> {
        let all: Vec<(i32, i64)> = self.offsets.iter().map(|(p, o)| (*p, *o)).collect();
        let answer = self.ask(&all).await?;
        if matches!(answer, Answer::Prefix(_)) && all.len() > 1 {
            let mut every = Vec::new();
            for one in all {
                every.extend(fetched(&self.ask(&[one]).await?)?);
            }
            return Ok(every);
        }
        fetched(&answer)
    }

    async fn ask(&mut self, partitions: &[(i32, i64)]) -> Result<Answer, KafkaError> {
        // No replica, no transactions, no session.
        let writer = Writer::default()
            .i32(-1)
            .i32(WAIT)
            .i32(1)
            .i32(FETCHED)
            .i8(0)
            .i32(0)
            .i32(-1);
        let write = |writer: Writer, (partition, offset): &(i32, i64)| {
            let epoch = -1;
            let log_start = -1;
            writer
                .i32(*partition)
                .i32(epoch)
                .i64(*offset)
                .i64(log_start)
                .i32(FETCHED)
        };
        let forgotten = 0;
        let body = topic(writer, &self.topic, partitions, write).i32(forgotten);
        self.leader.ask(FETCH, body, 2 * DEADLINE).await
    }
}

/// Reads the answer to a fetch. One that is too large is of one partition, and begins with its batch.
fn fetched(answer: &Answer) -> Result<Vec<Fetched>, KafkaError> {
    let (bytes, whole) = match answer {
        Answer::Whole(bytes) => (bytes, true),
        Answer::Prefix(bytes) => (bytes, false),
    };
    let mut reader = Reader::new(bytes);
    let (_throttled, code, _session) = (reader.i32()?, reader.i16()?, reader.i32()?);
    checked("fetch", code)?;
    if whole {
        return Ok(partitions(&mut reader, |reader| {
            let (partition, code) = partition(reader)?;
            Ok(Fetched {
                partition,
                code,
                batches: bytes.slice_ref(reader.bytes()?),
                too_large: None,
            })
        })?);
    }
    let _topics = reader.i32()?;
    reader.text()?;
    let _partitions = reader.i32()?;
    let (partition, code) = partition(&mut reader)?;
    checked("fetch", code)?;
    let size = usize::try_from(reader.i32()?).map_err(|_| NotKafka)?;
    let batch = Batch::read(&bytes.slice_ref(reader.rest()))?;
    Ok(vec![Fetched {
        partition,
        code,
        batches: Bytes::new(),
        too_large: Some((batch, size)),
    }])
}

fn partition(reader: &mut Reader<'_>) -> Result<(i32, i16), NotKafka> {
    let (partition, code) = (reader.i32()?, reader.i16()?);
    let (_high, _stable, _start) = (reader.i64()?, reader.i64()?, reader.i64()?);
    reader.list(|aborted| Ok((aborted.i64()?, aborted.i64()?)))?;
    Ok((partition, code))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::records::{Record, batch};

    #[test]
    fn of_an_answer_that_is_too_large_the_batch_is_skipped() {
        let record = Record {
            value: vec![b'v'; 10_000],
            ..Record::default()
        };
        let batch = batch(&record, false).expect("a batch");
        let writer = Writer::default().i32(0).i16(0).i32(0);
        let sent = topic(writer, "orders", &[3], |writer, partition| {
            writer
                .i32(*partition)
                .i16(0)
                .i64(9)
                .i64(9)
                .i64(0)
                .i32(0)
                .bytes(&batch)
        });
        let whole = fetched(&Answer::Whole(sent.0.clone().into())).expect("read");
        assert_eq!(
            (whole[0].partition, whole[0].batches.len()),
            (3, batch.len())
        );
        let cut = Bytes::from(sent.0).slice(..200);
        let cut = fetched(&Answer::Prefix(cut)).expect("read");
        let (skipped, size) = cut[0].too_large.as_ref().expect("too large");
        assert_eq!((skipped.next(), *size), (1, batch.len()));
        assert!(fetched(&Answer::Whole(Bytes::from_static(b"HTTP/1.1 400"))).is_err());
    }
}
