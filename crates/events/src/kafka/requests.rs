//! The requests of a client, in versions that brokers from 2.1 to 4 all understand, and their answers.

use std::collections::BTreeMap;

use super::{
    connection::{Api, Connection, KafkaError, checked},
    wire::{NotKafka, Reader, Writer},
};

const fn api(key: i16, version: i16) -> Api {
    Api { key, version }
}

pub(crate) const PRODUCE: Api = api(0, 3);
/// The first version in which brokers send batches in Zstandard.
pub(crate) const FETCH: Api = api(1, 10);
const LIST_OFFSETS: Api = api(2, 1);
const METADATA: Api = api(3, 4);
pub(crate) const OFFSET_COMMIT: Api = api(8, 2);
pub(crate) const OFFSET_FETCH: Api = api(9, 1);
pub(crate) const FIND_COORDINATOR: Api = api(10, 0);
pub(crate) const JOIN_GROUP: Api = api(11, 2);
pub(crate) const HEARTBEAT: Api = api(12, 1);
pub(crate) const LEAVE_GROUP: Api = api(13, 1);
pub(crate) const SYNC_GROUP: Api = api(14, 1);
pub(crate) const SASL_HANDSHAKE: Api = api(17, 1);
pub(crate) const SASL_AUTHENTICATE: Api = api(36, 0);

pub(crate) const OFFSET_OUT_OF_RANGE: i16 = 1;
pub(crate) const ILLEGAL_GENERATION: i16 = 22;
pub(crate) const UNKNOWN_MEMBER: i16 = 25;
pub(crate) const REBALANCE: i16 = 27;

/// The earliest record that the broker has.
pub(crate) const EARLIEST: i64 = -2;
/// The record that comes next.
pub(crate) const LATEST: i64 = -1;

/// The name of an error code.
pub(crate) fn code_name(code: i16) -> String {
    let name = match code {
        1 => "OFFSET_OUT_OF_RANGE",
        2 => "CORRUPT_MESSAGE",
        3 => "UNKNOWN_TOPIC_OR_PARTITION: there is no such topic, or it may not be seen",
        5 => "LEADER_NOT_AVAILABLE",
        6 => "NOT_LEADER_OR_FOLLOWER",
        7 => "REQUEST_TIMED_OUT",
        10 => "MESSAGE_TOO_LARGE: the broker takes smaller ones only",
        14 => "COORDINATOR_LOAD_IN_PROGRESS",
        15 => "COORDINATOR_NOT_AVAILABLE",
        16 => "NOT_COORDINATOR",
        17 => "INVALID_TOPIC_EXCEPTION",
        22 => "ILLEGAL_GENERATION",
        23 => "INCONSISTENT_GROUP_PROTOCOL: other members use another rebalanceStrategy",
        24 => "INVALID_GROUP_ID",
        25 => "UNKNOWN_MEMBER_ID",
        27 => "REBALANCE_IN_PROGRESS",
        29 => "TOPIC_AUTHORIZATION_FAILED: the user may not read the topic",
        30 => "GROUP_AUTHORIZATION_FAILED: the user may not read by this group",
        33 => "UNSUPPORTED_SASL_MECHANISM",
        19 => "NOT_ENOUGH_REPLICAS",
        35 => "UNSUPPORTED_VERSION: Kafka 2.1 or later is needed",
        58 => "SASL_AUTHENTICATION_FAILED",
        other => return format!("error {other}"),
    };
    name.to_owned()
}

/// The leader of each partition of a topic.
pub(crate) type Leaders = BTreeMap<i32, i32>;

/// Where the brokers are, and which one leads which partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// Host and port by id.
    pub(crate) brokers: BTreeMap<i32, (String, u16)>,
    /// By topic, with the error code of the protocol.
    topics: BTreeMap<String, (i16, Leaders)>,
}

impl Metadata {
    /// Asks about topics, which are not created.
    pub(crate) async fn ask<'t>(
        connection: &mut Connection,
        topics: impl ExactSizeIterator<Item = &'t str>,
    ) -> Result<Self, KafkaError> {
        let body = Writer::default().list(topics, Writer::text).i8(0);
        let answer = connection.call(METADATA, body).await?;
        Ok(Self::read(&mut Reader::new(&answer))?)
    }

    /// The leaders of a topic that exists.
    pub(crate) fn leaders(&self, topic: &str) -> Result<&Leaders, KafkaError> {
        let (code, leaders) = self.topics.get(topic).ok_or(NotKafka)?;
        checked("topic", *code)?;
        Ok(leaders)
    }

    /// The address of a broker, which is -1 for no broker.
    pub(crate) fn broker(&self, id: i32) -> Result<&(String, u16), KafkaError> {
        // LEADER_NOT_AVAILABLE
        self.brokers.get(&id).ok_or(KafkaError::Refused {
            what: "partition",
            code: 5,
        })
    }

    fn read(reader: &mut Reader<'_>) -> Result<Self, NotKafka> {
        let _throttled = reader.i32()?;
        let brokers = reader.list(|broker| {
            let id = broker.i32()?;
            let address = (broker.text()?.to_owned(), port(broker.i32()?)?);
            let _rack = broker.nullable_text()?;
            Ok((id, address))
        })?;
        let _cluster = reader.nullable_text()?;
        let _controller = reader.i32()?;
        let topics = reader.list(|topic| {
            let code = topic.i16()?;
            let name = topic.text()?.to_owned();
            let _internal = topic.i8()?;
            let partitions = topic.list(|partition| {
                let _code = partition.i16()?;
                let (index, leader) = (partition.i32()?, partition.i32()?);
                partition.list(Reader::i32)?;
                partition.list(Reader::i32)?;
                Ok((index, leader))
            })?;
            Ok((name, (code, partitions.into_iter().collect())))
        })?;
        Ok(Self {
            brokers: brokers.into_iter().collect(),
            topics: topics.into_iter().collect(),
        })
    }
}

/// A port, which is announced as a larger number.
pub(crate) fn port(number: i32) -> Result<u16, NotKafka> {
    u16::try_from(number).map_err(|_| NotKafka)
}

/// One topic with what is written of each of its partitions.
pub(crate) fn topic<T>(
    writer: Writer,
    topic: &str,
    partitions: &[T],
    write: impl Fn(Writer, &T) -> Writer,
) -> Writer {
    writer.list([topic].iter(), |writer, topic| {
        writer
            .text(topic)
            .list(partitions.iter(), |writer, partition| {
                write(writer, partition)
            })
    })
}

/// What an answer says of the partitions of all topics, of which there is one.
pub(crate) fn partitions<T>(
    reader: &mut Reader<'_>,
    mut read: impl FnMut(&mut Reader<'_>) -> Result<T, NotKafka>,
) -> Result<Vec<T>, NotKafka> {
    let topics = reader.list(|topic| {
        topic.text()?;
        topic.list(&mut read)
    })?;
    Ok(topics.into_iter().flatten().collect())
}

/// The offset at [`EARLIEST`] or [`LATEST`] of a partition; its leader is asked.
pub(crate) async fn offset_at(
    connection: &mut Connection,
    (name, partition): (&str, i32),
    time: i64,
) -> Result<i64, KafkaError> {
    let body = topic(
        Writer::default().i32(-1),
        name,
        &[partition],
        |writer, partition| writer.i32(*partition).i64(time),
    );
    let answer = connection.call(LIST_OFFSETS, body).await?;
    let offsets = partitions(&mut Reader::new(&answer), |reader| {
        let (_index, code) = (reader.i32()?, reader.i16()?);
        let (_time, offset) = (reader.i64()?, reader.i64()?);
        Ok((code, offset))
    })?;
    let (code, offset) = offsets.first().copied().ok_or(NotKafka)?;
    checked("offsets", code)?;
    Ok(offset)
}
