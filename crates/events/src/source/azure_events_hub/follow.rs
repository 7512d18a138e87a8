//! Reads the partitions of a hub.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use bytes::Bytes;
use futures::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    Hub, Payload,
    hub::{self, HubEvent, Position, Status},
};
use crate::{
    amqp10::{
        Message,
        connection::{AmqpError, Connection, Content, Event, Node},
    },
    azure::Namespace,
    bus::BusError,
    source::{
        EmitError,
        backlog::Reservation,
        body::Body,
        checkpoint::Checkpoint,
        kind::{SourceContext, SourceError},
    },
};

/// The consumer group that everybody has; upstream reads with it.
const GROUP: &str = "$Default";
/// A token is replaced after this time, well before it ends.
const TOKEN: Duration = Duration::from_secs(300);
/// Events that all partitions together send ahead; each sends at least one.
const AHEAD: usize = 512;
const MOST_AHEAD: u32 = 64;
/// What was published is remembered after so many events, or after this time.
const SAVE: usize = 100;
const SAVE_AFTER: Duration = Duration::from_secs(1);

/// What survives a restart.
#[derive(Default, Serialize, Deserialize)]
struct Record {
    /// The hub.
    place: String,
    /// By id.
    partitions: BTreeMap<String, Position>,
}

/// A partition that is read.
struct Partition {
    id: String,
    link: usize,
    /// Events that it may still send.
    credit: u32,
    /// Events that wait for the one that is being published.
    waiting: VecDeque<Held>,
    publishing: bool,
}

/// An event with the room that it takes.
struct Held {
    event: HubEvent,
    room: Reservation,
}

/// A partition has an event published: its index and the position of the event.
type Published = Result<(usize, Position), BusError>;

/// A reader of all partitions.
struct Reader<'c> {
    hub: &'c Hub,
    context: &'c SourceContext,
    namespace: Namespace,
    connection: Connection,
    tokens: Node,
    checkpoint: Checkpoint,
    record: Record,
    partitions: Vec<Partition>,
    publishing: FuturesUnordered<BoxFuture<'c, Published>>,
    /// Events that are published and not remembered, and when the first was.
    unsaved: usize,
    save_at: Option<Instant>,
}

/// Events that each of so many partitions sends ahead.
fn ahead(partitions: usize) -> u32 {
    let share = u32::try_from(AHEAD / partitions.max(1)).unwrap_or(MOST_AHEAD);
    share.clamp(1, MOST_AHEAD)
}

impl Hub {
    pub(super) async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let namespace = self.namespace(context)?;
        let mut checkpoint = context.checkpoint().await?;
        let place = format!("{}/{}", self.server.address, self.name);
        let old: Option<Record> = checkpoint.load().await?;
        let record = old.filter(|record| record.place == place);
        let record = record.unwrap_or_else(|| Record {
            place,
            ..Record::default()
        });
        let stream = self.server.connect(context.egress, |_| None).await?;
        let largest = context.largest_message();
        let opened = async {
            let mut connection = Connection::open(stream, &self.host, largest).await?;
            let tokens = connection.node("$cbs").await?;
            Ok((connection, tokens))
        };
        let (connection, tokens) = opened.await.map_err(|error| self.failed(context, &error))?;
        let mut reader = Reader {
            hub: self,
            context,
            namespace,
            connection,
            tokens,
            checkpoint,
            record,
            partitions: Vec::new(),
            publishing: FuturesUnordered::new(),
            unsaved: 0,
            save_at: None,
        };
        reader.begin().await?;
        context.report(None);
        reader.read().await
    }

    fn failed(&self, context: &SourceContext, error: &AmqpError) -> SourceError {
        self.server.failed(&context.excerpt(&error.to_string()))
    }
}

impl Reader<'_> {
    fn failed(&self, error: impl Into<AmqpError>) -> SourceError {
        self.hub.failed(self.context, &error.into())
    }

    /// A new token for the hub.
    fn token(&self) -> (String, String) {
        let resource = self.namespace.url(&[&self.hub.name]);
        let now = self.context.emitter.clock.now();
        let token = self.namespace.signature(&resource, now);
        self.context.hide(&token);
        (resource.to_string(), token)
    }

    /// Logs in, finds the partitions, and asks each for what comes after its position.
    async fn begin(&mut self) -> Result<(), SourceError> {
        let (resource, token) = self.token();
        let answer = self
            .connection
            .answer(self.tokens, hub::put_token(&resource), &token)
            .await;
        let answer = answer.map_err(|error| self.failed(error))?;
        self.let_in(&answer)?;
        let node = self.connection.node("$management").await;
        let node = node.map_err(|error| self.failed(error))?;
        let answer = self.ask(node, None, &token).await?;
        let ids = Message::read(&answer).map_err(AmqpError::from);
        let ids = ids.and_then(|message| hub::partitions(message.value));
        let ids = ids.map_err(|error| self.failed(error))?;
        self.record.partitions.retain(|id, _| ids.contains(id));
        for id in &ids {
            let answer = self.ask(node, Some(id), &token).await?;
            let end = Message::read(&answer).and_then(|message| hub::end(message.value));
            let end = end.map_err(|error| self.failed(error))?;
            self.start_at(id, end);
        }
        // From here on nothing is missed, also where no event comes before the process ends.
        self.save().await?;
        let credit = ahead(ids.len());
        for id in ids {
            let position = self.record.partitions.get(&id).cloned().unwrap_or_default();
            let name = &self.hub.name;
            let address = format!("{name}/ConsumerGroups/{GROUP}/Partitions/{id}");
            let link = self.connection.receiver(&address, &position.filter());
            self.connection.give(link, credit);
            self.partitions.push(Partition {
                id,
                link,
                credit,
                waiting: VecDeque::new(),
                publishing: false,
            });
        }
        Ok(())
    }

    /// Decides where a partition is read from whose last event is known: a new one after that event, as upstream does.
    fn start_at(&mut self, id: &str, end: Position) {
        match self.record.partitions.get(id) {
            None => {
                self.record.partitions.insert(id.to_owned(), end);
            }
            // The hub was deleted and created again since.
            Some(known) if known.sequence > end.sequence => {
                tracing::warn!(eventsource = %self.context.emitter.key, event = self.context.event(), partition = id, "the partition ends before the event that was read last: it is read from its beginning");
                let beginning = Position::beginning();
                self.record.partitions.insert(id.to_owned(), beginning);
            }
            Some(_) => {}
        }
    }

    async fn ask(
        &mut self,
        node: Node,
        partition: Option<&str>,
        token: &str,
    ) -> Result<Bytes, SourceError> {
        let question = hub::read(&self.hub.name, partition, token);
        let answer = self.connection.answer(node, question, "").await;
        let answer = answer.map_err(|error| self.failed(error))?;
        let status = Message::read(&answer).and_then(|message| Status::of(&message));
        let status = status.map_err(|error| self.failed(error))?;
        if status.is_good() {
            return Ok(answer);
        }
        let hint = match status.code {
            404 => "there is no such hub",
            401 | 403 => "the key needs the right to listen",
            _ => "reading the hub is refused",
        };
        Err(self.refused(hint, &status))
    }

    fn let_in(&self, answer: &Bytes) -> Result<(), SourceError> {
        let status = Message::read(answer).and_then(|message| Status::of(&message));
        let status = status.map_err(|error| self.failed(error))?;
        if status.is_good() {
            return Ok(());
        }
        Err(self.refused(
            "sharedAccessKeyName or sharedAccessKey is not accepted",
            &status,
        ))
    }

    fn refused(&self, hint: &str, status: &Status) -> SourceError {
        let text = format!("{hint} ({}: {})", status.code, status.text);
        self.failed(AmqpError::Refused(text))
    }

    async fn read(&mut self) -> Result<(), SourceError> {
        let mut renew = Instant::now() + TOKEN;
        let mut large: Option<(usize, HubEvent)> = None;
        loop {
            let save_at = self.save_at.unwrap_or(renew);
            let wanted = large.as_ref().map_or(0, |(_, event)| event.body.len());
            tokio::select! {
                event = self.connection.next(), if large.is_none() => {
                    let event = event.map_err(|error| self.failed(error))?;
                    large = self.came(event)?;
                }
                // Who has no room reads nothing, so that what follows stays at the server.
                room = self.context.share.wait(wanted), if large.is_some() => {
                    if let Some((index, event)) = large.take() {
                        self.partitions[index].waiting.push_back(Held { event, room });
                        self.publish(index);
                    }
                }
                Some(published) = self.publishing.next() => self.published(published?).await?,
                () = tokio::time::sleep_until(save_at), if self.save_at.is_some() => self.save().await?,
                () = tokio::time::sleep_until(renew) => {
                    renew = Instant::now() + TOKEN;
                    let (resource, token) = self.token();
                    self.connection.ask(self.tokens, hub::put_token(&resource), &token);
                }
            }
        }
    }

    /// What came in; an event of a partition, which waits for room.
    fn came(&mut self, event: Event) -> Result<Option<(usize, HubEvent)>, SourceError> {
        let Event::Message(link, content) = event else {
            return Ok(None);
        };
        if link == self.tokens.receiver {
            if let Content::Whole(answer) = content {
                self.let_in(&answer)?;
            }
            self.connection.give(link, 1);
            return Ok(None);
        }
        let index = self.partitions.iter().position(|known| known.link == link);
        let Some(index) = index else {
            return Ok(None);
        };
        self.partitions[index].credit -= 1;
        match content {
            Content::Whole(bytes) => {
                let event = HubEvent::read(&bytes).map_err(|error| self.failed(error))?;
                Ok(Some((index, event)))
            }
            Content::Skipped(size) => {
                self.context.too_large(size);
                self.more(index);
                Ok(None)
            }
        }
    }

    /// Publishes the next event of a partition, after the one before it.
    fn publish(&mut self, index: usize) {
        let partition = &mut self.partitions[index];
        if partition.publishing {
            return;
        }
        let Some(held) = partition.waiting.pop_front() else {
            return;
        };
        partition.publishing = true;
        let (context, place) = (self.context, &self.record.place);
        let event = held.event;
        let place = format!(
            "{place}/{}/{}/{}",
            partition.id, event.position.sequence, event.enqueued
        );
        let room = held.room;
        self.publishing.push(Box::pin(async move {
            let Some(body) = Body::bytes(context, &event.body, false) else {
                return Ok((index, event.position));
            };
            let payload = Payload {
                id: &event.id,
                partition_key: &event.partition_key,
                body,
                metadata: context.metadata(),
            };
            let emitted = context.emit(context.id(&place), &payload).await;
            drop(room);
            match emitted {
                Err(EmitError::Bus(error)) => Err(error),
                _ => Ok((index, event.position)),
            }
        }));
    }

    async fn published(&mut self, (index, position): (usize, Position)) -> Result<(), SourceError> {
        let partition = &mut self.partitions[index];
        partition.publishing = false;
        let known = self.record.partitions.entry(partition.id.clone());
        known.insert_entry(position);
        self.more(index);
        self.publish(index);
        self.unsaved += 1;
        self.save_at
            .get_or_insert_with(|| Instant::now() + SAVE_AFTER);
        if self.unsaved >= SAVE {
            self.save().await?;
        }
        Ok(())
    }

    /// Lets a partition send on once half of what it may send ahead is used.
    fn more(&mut self, index: usize) {
        let all = ahead(self.partitions.len());
        let partition = &mut self.partitions[index];
        let waiting = u32::try_from(partition.waiting.len()).unwrap_or(all);
        let free = all.saturating_sub(waiting);
        if partition.credit <= all / 2 && free > partition.credit {
            partition.credit = free;
            self.connection.give(partition.link, free);
        }
    }

    async fn save(&mut self) -> Result<(), SourceError> {
        self.unsaved = 0;
        self.save_at = None;
        Ok(self.checkpoint.save(&self.record).await?)
    }
}
