//! `redisStream`: entries of streams, by a consumer group. An entry is acknowledged once it is stored; those that were
//! read and not acknowledged come first after a restart.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use reconcile_core::object::FieldError;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    DEADLINE, Redis, names,
    resp::{Connection, RespError, Value},
};
use crate::{
    api::KeySelector,
    source::{
        http_server::may_ask_again,
        kind::{Input, Source, SourceContext, SourceError, SourceKind},
    },
};

pub(in crate::source) const KIND: SourceKind = SourceKind {
    key: "redisStream",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// Upstream's names, so that either program takes over from the other.
const GROUP: &str = "argo-events-cg";
const CONSUMER: &str = "argo-events-worker";
/// Entries of one read, unless the manifest says so.
const ENTRIES: u32 = 100;
/// Most that a manifest may ask for: a reply is held in memory.
const MOST_ENTRIES: u32 = 10_000;
/// The server waits so long for entries.
const BLOCK: Duration = Duration::from_secs(2);
/// Publishes at the same time.
const AT_ONCE: usize = 64;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    streams: Vec<String>,
    consumer_group: String,
    max_msg_count_per_read: u32,
}

#[derive(Debug)]
struct Streams {
    redis: Redis,
    names: Vec<String>,
    group: String,
    entries: u32,
}

fn check(input: &Input<'_>) -> Result<Streams, FieldError> {
    let config: Config = input.decode()?;
    let given = |text: String, default: &str| {
        if text.is_empty() {
            default.to_owned()
        } else {
            text
        }
    };
    Ok(Streams {
        redis: Redis::check(input)?,
        names: names(input, "streams", config.streams)?,
        group: given(config.consumer_group, GROUP),
        entries: match config.max_msg_count_per_read {
            0 => ENTRIES,
            entries if entries <= MOST_ENTRIES => entries,
            _ => {
                let message = format!("must be {MOST_ENTRIES} at most");
                return Err(input.wrong("maxMsgCountPerRead", message));
            }
        },
    })
}

#[derive(Serialize)]
struct Payload<'p> {
    stream: &'p str,
    message_id: &'p str,
    values: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

/// One entry of a stream.
struct Entry {
    id: String,
    /// `None` for one that was deleted while it waited.
    values: Option<Vec<Value>>,
}

impl Source for Streams {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.redis.secrets()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

impl Streams {
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let mut connection = self.redis.connect(context).await?;
        let read = self.read(context, &mut connection).await;
        read.map_err(|error| self.redis.server.failed(&error))
    }

    async fn read(
        &self,
        context: &SourceContext,
        connection: &mut Connection,
    ) -> Result<(), RespError> {
        for stream in &self.names {
            self.ensure_group(connection, stream).await?;
        }
        context.report(None);
        // What was read before and not acknowledged, one by one, because a reply that was too large is among it; then
        // what is new.
        let (mut from, mut entries) = ("0", 1);
        loop {
            let asked = Instant::now();
            let reply = self.next(connection, from, entries).await?;
            let mut count = 0;
            for (stream, batch) in parsed(reply) {
                count += batch.len();
                self.take(context, connection, &stream, batch).await?;
            }
            if count == 0 && from == "0" {
                (from, entries) = (">", self.entries);
            } else {
                may_ask_again(asked, count).await;
            }
        }
    }

    /// Creates the consumer group, from now on, and the stream, where they are missing.
    async fn ensure_group(
        &self,
        connection: &mut Connection,
        stream: &str,
    ) -> Result<(), RespError> {
        let command = ["XGROUP", "CREATE", stream, &self.group, "$", "MKSTREAM"];
        match connection.call(&command, DEADLINE).await {
            Err(RespError::Refused(reason)) if reason.starts_with("BUSYGROUP") => Ok(()),
            outcome => outcome.map(drop),
        }
    }

    async fn next(
        &self,
        connection: &mut Connection,
        from: &str,
        entries: u32,
    ) -> Result<Value, RespError> {
        let (count, block) = (entries.to_string(), BLOCK.as_millis().to_string());
        let mut command = vec![
            "XREADGROUP",
            "GROUP",
            &self.group,
            CONSUMER,
            "COUNT",
            &count,
            "BLOCK",
            &block,
            "STREAMS",
        ];
        command.extend(self.names.iter().map(String::as_str));
        command.extend(self.names.iter().map(|_| from));
        connection.call(&command, BLOCK + DEADLINE).await
    }

    /// Publishes entries of a stream, and acknowledges them.
    async fn take(
        &self,
        context: &SourceContext,
        connection: &mut Connection,
        stream: &str,
        batch: Vec<Entry>,
    ) -> Result<(), RespError> {
        if batch.is_empty() {
            return Ok(());
        }
        let mut ids: Vec<String> = stream::iter(batch)
            .map(|entry| async move {
                self.publish(context, stream, &entry).await;
                entry.id
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let mut command = vec!["XACK".to_owned(), stream.to_owned(), self.group.clone()];
        command.append(&mut ids);
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        connection.call(&command, DEADLINE).await.map(drop)
    }

    /// Publishes an entry, however long that takes.
    async fn publish(&self, context: &SourceContext, stream: &str, entry: &Entry) {
        let Some(fields) = &entry.values else { return };
        if let Some(Value::Skipped(size)) = fields
            .iter()
            .find(|value| matches!(value, Value::Skipped(_)))
        {
            return context.too_large(*size);
        }
        let texts: Vec<String> = fields.iter().filter_map(Value::text).collect();
        let values = texts
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()));
        let payload = Payload {
            stream,
            message_id: &entry.id,
            values: values.collect(),
            metadata: context.metadata(),
        };
        let address = &self.redis.server.address;
        let id = context.id(&format!(
            "{address}/{}/{stream}/{}",
            self.redis.db, entry.id
        ));
        context.emit_for_sure(id, &payload).await;
    }
}

/// `[[stream, [[id, [name, value, ..]], ..]], ..]`
fn parsed(reply: Value) -> Vec<(String, Vec<Entry>)> {
    let streams = reply.list().into_iter().filter_map(|stream| {
        let mut stream = stream.list().into_iter();
        let name = stream.next()?.text()?;
        let entries = stream.next()?.list().into_iter().filter_map(|entry| {
            let mut entry = entry.list().into_iter();
            let id = entry.next()?.text()?;
            let values = match entry.next()? {
                Value::List(values) => Some(values),
                _ => None,
            };
            Some(Entry { id, values })
        });
        Some((name, entries.collect()))
    });
    streams.collect()
}
