//! Membership in a consumer group: the coordinator says which partitions this member reads, and keeps their offsets.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{assign::Strategy, config::Group};
use crate::kafka::{
    connection::{Connection, DEADLINE, KafkaError, checked},
    requests::{
        FIND_COORDINATOR, HEARTBEAT, ILLEGAL_GENERATION, JOIN_GROUP, LEAVE_GROUP, Metadata,
        OFFSET_COMMIT, OFFSET_FETCH, REBALANCE, SYNC_GROUP, UNKNOWN_MEMBER, partitions, port,
        topic,
    },
    wire::{NotKafka, Reader, Writer},
};

/// A member that is silent for so long is gone, as upstream.
const SESSION: Duration = Duration::from_secs(10);
/// Members have so long to join again.
const REBALANCING: Duration = Duration::from_secs(60);
/// Pause between signs of life.
pub(super) const BEAT: Duration = Duration::from_secs(3);
/// The protocol of consumers.
const CONSUMER: &str = "consumer";
/// Version of what members tell each other.
const VERSION: i16 = 0;

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// A member of a generation.
pub(super) struct Member {
    group: String,
    topic: String,
    pub(super) id: String,
    generation: i32,
}

/// What joining brought.
struct Joined {
    generation: i32,
    strategy: String,
    leader: String,
    id: String,
    /// With the topics that they subscribe to; empty unless this member leads.
    members: Vec<(String, Vec<String>)>,
}

/// The partitions of each topic, by member.
type Divided = BTreeMap<String, BTreeMap<String, Vec<i32>>>;

/// Whether an error only means that the member has to join again.
pub(super) fn is_rebalance(error: &KafkaError) -> bool {
    matches!(
        error.code(),
        Some(REBALANCE | ILLEGAL_GENERATION | UNKNOWN_MEMBER)
    )
}

/// Where the coordinator of a group is.
pub(super) async fn coordinator(
    connection: &mut Connection,
    group: &str,
) -> Result<(String, u16), KafkaError> {
    let answer = connection
        .call(FIND_COORDINATOR, Writer::default().text(group))
        .await?;
    let mut reader = Reader::new(&answer);
    let (code, _id) = (reader.i16()?, reader.i32()?);
    checked("coordinator of the group", code)?;
    Ok((reader.text()?.to_owned(), port(reader.i32()?)?))
}

impl Member {
    /// Joins a group; returns the partitions that this member reads. `known` is the id of the last generation, or empty.
    pub(super) async fn join(
        connection: &mut Connection,
        group: &Group,
        topic: &str,
        known: &str,
    ) -> Result<(Self, Vec<i32>), KafkaError> {
        let joined = ask_to_join(connection, group, topic, known).await?;
        let member = Self {
            group: group.name.clone(),
            topic: topic.to_owned(),
            id: joined.id.clone(),
            generation: joined.generation,
        };
        let divided = if joined.leader == joined.id {
            divide(connection, &joined).await?
        } else {
            Divided::new()
        };
        let body = member.head().list(divided.iter(), |writer, (id, topics)| {
            writer.text(id).bytes(&assignment(topics))
        });
        let answer = connection.call_within(SYNC_GROUP, body, REBALANCING + DEADLINE);
        let answer = answer.await?;
        let mut reader = Reader::new(&answer);
        let (_throttled, code) = (reader.i32()?, reader.i16()?);
        checked("assignment of the group", code)?;
        let own = member.assigned(reader.bytes()?)?;
        Ok((member, own))
    }

    /// Leaves the group, so that others need not wait for this member.
    pub(super) async fn leave(&self, connection: &mut Connection) -> Result<(), KafkaError> {
        let body = Writer::default().text(&self.group).text(&self.id);
        connection.call(LEAVE_GROUP, body).await.map(drop)
    }

    fn head(&self) -> Writer {
        Writer::default()
            .text(&self.group)
            .i32(self.generation)
            .text(&self.id)
    }

    /// The partitions of the topic in an assignment, which is empty for a member without any.
    fn assigned(&self, bytes: &[u8]) -> Result<Vec<i32>, NotKafka> {
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        let mut reader = Reader::new(bytes);
        let _version = reader.i16()?;
        let mut own = Vec::new();
        reader.list(|reader| {
            let name = reader.text()?;
            let partitions = reader.list(Reader::i32)?;
            if name == self.topic {
                own = partitions;
            }
            Ok(())
        })?;
        Ok(own)
    }

    /// A sign of life.
    pub(super) async fn beat(&self, connection: &mut Connection) -> Result<(), KafkaError> {
        let answer = connection.call(HEARTBEAT, self.head()).await?;
        let mut reader = Reader::new(&answer);
        let (_throttled, code) = (reader.i32()?, reader.i16()?);
        checked("heartbeat", code)
    }

    /// The offsets that the group has committed; -1 where there is none.
    pub(super) async fn committed(
        &self,
        connection: &mut Connection,
        own: &[i32],
    ) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let writer = Writer::default().text(&self.group);
        let body = topic(writer, &self.topic, own, |writer, partition| {
            writer.i32(*partition)
        });
        let answer = connection.call(OFFSET_FETCH, body).await?;
        let offsets = partitions(&mut Reader::new(&answer), |reader| {
            let (partition, offset) = (reader.i32()?, reader.i64()?);
            let _note = reader.nullable_text()?;
            Ok((reader.i16()?, (partition, offset)))
        })?;
        offsets
            .into_iter()
            .map(|(code, offset)| checked("offsets of the group", code).map(|()| offset))
            .collect()
    }

    /// Commits the offsets of the records that come next.
    pub(super) async fn commit(
        &self,
        connection: &mut Connection,
        offsets: &[(i32, i64)],
    ) -> Result<(), KafkaError> {
        let writer = self.head().i64(-1);
        let body = topic(
            writer,
            &self.topic,
            offsets,
            |writer, (partition, offset)| writer.i32(*partition).i64(*offset).text(""),
        );
        let answer = connection.call(OFFSET_COMMIT, body).await?;
        let codes = partitions(&mut Reader::new(&answer), |reader| {
            let _partition = reader.i32()?;
            reader.i16()
        })?;
        codes
            .into_iter()
            .try_for_each(|code| checked("commit", code))
    }
}

/// Divides all topics of all members, of which some may be other ones.
async fn divide(connection: &mut Connection, joined: &Joined) -> Result<Divided, KafkaError> {
    let members = &joined.members;
    let topics: BTreeSet<&str> = members
        .iter()
        .flat_map(|(_, topics)| topics.iter().map(String::as_str))
        .collect();
    let metadata = Metadata::ask(connection, topics.iter().copied()).await?;
    let strategy = Strategy::of(&joined.strategy);
    let mut divided = Divided::new();
    for topic in topics {
        // Members of a topic that is gone get nothing of it.
        let Ok(leaders) = metadata.leaders(topic) else {
            continue;
        };
        let subscribed = members
            .iter()
            .filter(|(_, topics)| topics.iter().any(|name| name == topic));
        let subscribed = subscribed.map(|(id, _)| id.clone()).collect();
        for (id, own) in strategy.divide(subscribed, leaders.keys().copied().collect()) {
            divided.entry(id).or_default().insert(topic.to_owned(), own);
        }
    }
    Ok(divided)
}

fn assignment(topics: &BTreeMap<String, Vec<i32>>) -> Vec<u8> {
    Writer::default()
        .i16(VERSION)
        .list(topics.iter(), |writer, (topic, partitions)| {
            writer
                .text(topic)
                .list(partitions.iter(), |writer, partition| {
                    writer.i32(*partition)
                })
        })
        .bytes(&[])
        .0
}

async fn ask_to_join(
    connection: &mut Connection,
    group: &Group,
    topic: &str,
    known: &str,
) -> Result<Joined, KafkaError> {
    let subscription = Writer::default()
        .i16(VERSION)
        .list([topic].iter(), |writer, topic| writer.text(topic))
        .bytes(&[])
        .0;
    let body = Writer::default()
        .text(&group.name)
        .i32(millis(SESSION))
        .i32(millis(REBALANCING))
        .text(known)
        .text(CONSUMER)
        .list([group.strategy].iter(), |writer, strategy| {
            writer.text(strategy.name()).bytes(&subscription)
        });
    let answer = connection.call_within(JOIN_GROUP, body, REBALANCING + DEADLINE);
    let answer = answer.await?;
    let mut reader = Reader::new(&answer);
    let (_throttled, code) = (reader.i32()?, reader.i16()?);
    checked("consumer group", code)?;
    Ok(Joined {
        generation: reader.i32()?,
        strategy: reader.text()?.to_owned(),
        leader: reader.text()?.to_owned(),
        id: reader.text()?.to_owned(),
        members: reader.list(|reader| {
            let id = reader.text()?.to_owned();
            Ok((id, subscribed(reader.bytes()?)?))
        })?,
    })
}

/// The topics of a member.
fn subscribed(bytes: &[u8]) -> Result<Vec<String>, NotKafka> {
    let mut reader = Reader::new(bytes);
    let _version = reader.i16()?;
    reader.list(|reader| reader.text().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_is_read_as_it_is_written() {
        let member = Member {
            group: "g".into(),
            topic: "orders".into(),
            id: "m".into(),
            generation: 1,
        };
        let topics = BTreeMap::from([
            ("carts".to_owned(), vec![7]),
            ("orders".to_owned(), vec![1, 2]),
        ]);
        assert_eq!(member.assigned(&assignment(&topics)), Ok(vec![1, 2]));
        assert_eq!(member.assigned(&[]), Ok(vec![]));
        assert_eq!(member.assigned(&[0]), Err(NotKafka));
    }

    #[test]
    fn the_topics_of_a_member_are_read() {
        let sent = Writer::default()
            .i16(1)
            .list(["a", "b"].iter(), |writer, topic| writer.text(topic))
            .bytes(b"what its strategy keeps")
            .0;
        assert_eq!(subscribed(&sent), Ok(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(subscribed(&sent[..5]), Err(NotKafka));
    }
}
