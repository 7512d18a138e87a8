//! What a hub says about itself and its partitions, and its events.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::amqp10::{Fields, Items, Malformed, Message, Value, connection::AmqpError};

/// Partitions of a hub that are read: a session of the service has 255 links. Only its dedicated clusters have hubs with more
/// than 100.
const MOST_PARTITIONS: usize = 200;
/// Characters of the id of a partition, and of an offset.
const LONGEST: usize = 128;

/// Where reading continues.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// After the event with this offset; it is text of the service. -1 is the beginning.
    pub(super) offset: String,
    /// Its number in the partition, from 0.
    pub(super) sequence: i64,
}

impl Position {
    /// Before all events.
    pub(super) fn beginning() -> Self {
        Self {
            offset: "-1".to_owned(),
            sequence: -1,
        }
    }

    /// Which events are asked for.
    pub(super) fn filter(&self) -> String {
        format!("amqp.annotation.x-opt-offset > '{}'", self.offset)
    }
}

/// An offset as it may stand in a filter.
fn offset(text: &str) -> Result<String, Malformed> {
    let good = |c: char| c.is_ascii_graphic() && c != '\'';
    if text.is_empty() || text.len() > LONGEST || !text.chars().all(good) {
        return Err(Malformed);
    }
    Ok(text.to_owned())
}

/// The answer to a request: its status and what the server says of it.
pub(super) struct Status {
    pub(super) code: i64,
    pub(super) text: String,
}

impl Status {
    pub(super) fn of(message: &Message<'_>) -> Result<Self, Malformed> {
        let member = |names: [&str; 2]| {
            let [first, second] = names.map(|name| message.application.member(name));
            let first = first?;
            Ok::<_, Malformed>(if first.text().is_some() || first.signed().is_some() {
                first
            } else {
                second?
            })
        };
        let code = member(["status-code", "statusCode"])?;
        let text = member(["status-description", "statusDescription"])?;
        Ok(Self {
            code: code.signed().ok_or(Malformed)?,
            text: text.text().unwrap_or_default().to_owned(),
        })
    }

    pub(super) fn is_good(&self) -> bool {
        (200..300).contains(&self.code)
    }
}

/// Asks for what is known of a hub, or of one of its partitions.
pub(super) fn read(hub: &str, partition: Option<&str>, token: &str) -> Fields {
    let kind = match partition {
        Some(_) => "com.microsoft:partition",
        None => "com.microsoft:eventhub",
    };
    let fields = Fields::default();
    let fields = fields.string("operation").string("READ").string("name");
    let fields = fields.string(hub).string("type").string(kind);
    let fields = fields.string("security_token").string(token);
    match partition {
        Some(partition) => fields.string("partition").string(partition),
        None => fields,
    }
}

/// Lets the client in at everything below `resource`.
pub(super) fn put_token(resource: &str) -> Fields {
    let fields = Fields::default();
    let fields = fields.string("operation").string("put-token");
    let fields = fields
        .string("type")
        .string("servicebus.windows.net:sastoken");
    fields.string("name").string(resource)
}

/// Ids of the partitions of a hub.
pub(super) fn partitions(hub: Items<'_>) -> Result<Vec<String>, AmqpError> {
    let Value::List(ids) = hub.member("partition_ids")? else {
        return Err(Malformed.into());
    };
    let ids = ids.map(|id| {
        let id = id?.text().ok_or(Malformed)?;
        let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if id.is_empty() || id.len() > LONGEST || !id.chars().all(good) {
            return Err(Malformed);
        }
        Ok(id.to_owned())
    });
    let ids: Vec<String> = ids.take(MOST_PARTITIONS + 1).collect::<Result<_, _>>()?;
    if ids.len() > MOST_PARTITIONS {
        let reason = format!("the hub has more than {MOST_PARTITIONS} partitions");
        return Err(AmqpError::Refused(reason));
    }
    if ids.is_empty() {
        return Err(Malformed.into());
    }
    Ok(ids)
}

/// The last event of a partition.
pub(super) fn end(partition: Items<'_>) -> Result<Position, Malformed> {
    if partition.member("is_partition_empty")?.is_true() {
        return Ok(Position::beginning());
    }
    let sequence = partition.member("last_enqueued_sequence_number")?;
    let text = partition.member("last_enqueued_offset")?;
    Ok(Position {
        offset: offset(text.text().ok_or(Malformed)?)?,
        sequence: sequence.signed().ok_or(Malformed)?,
    })
}

/// An event.
#[derive(Debug)]
pub(super) struct HubEvent {
    pub(super) position: Position,
    /// When the service got it, in milliseconds.
    pub(super) enqueued: i64,
    /// As its sender named it.
    pub(super) id: String,
    pub(super) partition_key: String,
    pub(super) body: Vec<u8>,
}

impl HubEvent {
    pub(super) fn read(bytes: &Bytes) -> Result<Self, Malformed> {
        let message = Message::read(bytes)?;
        let annotation = |name| message.annotations.member(name);
        let text = annotation("x-opt-offset")?;
        let sequence = annotation("x-opt-sequence-number")?;
        let enqueued = annotation("x-opt-enqueued-time")?;
        let key = annotation("x-opt-partition-key")?;
        Ok(Self {
            position: Position {
                offset: offset(text.text().ok_or(Malformed)?)?,
                sequence: sequence.signed().ok_or(Malformed)?,
            },
            enqueued: enqueued.signed().unwrap_or_default(),
            partition_key: key.text().unwrap_or_default().to_owned(),
            id: message.id.unwrap_or_default(),
            body: message.data,
        })
    }
}
