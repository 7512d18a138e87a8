//! `redis`: messages that are published to channels. Redis keeps none of them: what is published while nobody
//! listens is lost, as upstream.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use reconcile_core::object::FieldError;
use serde::{Deserialize, Serialize};

use super::{
    DEADLINE, Redis, names,
    resp::{Connection, RespError, Value},
};
use crate::{
    api::KeySelector,
    source::{
        backlog::Reservation,
        body::Body,
        kind::{Input, Source, SourceContext, SourceError, SourceKind},
    },
};

pub(in crate::source) const KIND: SourceKind = SourceKind {
    key: "redis",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// Publishes at the same time.
const AT_ONCE: usize = 64;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    channels: Vec<String>,
    json_body: bool,
}

#[derive(Debug)]
struct Channels {
    redis: Redis,
    names: Vec<String>,
    json: bool,
}

fn check(input: &Input<'_>) -> Result<Channels, FieldError> {
    let config: Config = input.decode()?;
    Ok(Channels {
        redis: Redis::check(input)?,
        names: names(input, "channels", config.channels)?,
        json: config.json_body,
    })
}

#[derive(Serialize)]
struct Payload<'p> {
    channel: &'p str,
    pattern: &'p str,
    body: Body<'p>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Source for Channels {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.redis.secrets()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

impl Channels {
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let failed = |error: RespError| self.redis.server.failed(&error);
        let mut connection = self.redis.connect(context).await?;
        let mut subscribe = vec!["SUBSCRIBE"];
        subscribe.extend(self.names.iter().map(String::as_str));
        connection
            .call(&subscribe, DEADLINE)
            .await
            .map_err(failed)?;
        context.report(None);
        let share = context.share.clone();
        let messages = stream::unfold(Some((connection, share)), |reading| async {
            let (mut connection, share) = reading?;
            match next(&mut connection).await {
                // What follows is not read before there is room for this one; others are published meanwhile.
                Ok((channel, body)) => {
                    let room = share.wait(body.held()).await;
                    Some((Ok((channel, body, room)), Some((connection, share))))
                }
                Err(error) => Some((Err(error), None)),
            }
        });
        let taken = messages.map(|message| async move {
            self.pass_on(context, message?).await;
            Ok(())
        });
        let mut taken = std::pin::pin!(taken.buffered(AT_ONCE));
        while let Some(outcome) = taken.next().await {
            outcome.map_err(failed)?;
        }
        Ok(())
    }

    /// Publishes a message, however long that takes.
    async fn pass_on(&self, context: &SourceContext, message: (String, Value, Reservation)) {
        let (channel, body, _room) = message;
        let body = match body {
            Value::Text(body) => body,
            Value::Skipped(size) => return context.too_large(size),
            _ => return,
        };
        let Some(body) = Body::text(context, &body, self.json) else {
            return;
        };
        let payload = Payload {
            channel: &channel,
            pattern: "",
            body,
            metadata: context.metadata(),
        };
        let id = uuid::Uuid::new_v4().simple().to_string();
        context.emit_for_sure(id, &payload).await;
    }
}

/// The next message: its channel and its text.
async fn next(connection: &mut Connection) -> Result<(String, Value), RespError> {
    loop {
        let mut reply = connection.receive().await?.list();
        let kind = reply.first().and_then(Value::text);
        if kind.as_deref() == Some("message") && reply.len() == 3 {
            let body = reply.pop().unwrap_or(Value::Nil);
            let channel = reply.pop().and_then(|channel| channel.text());
            return Ok((channel.unwrap_or_default(), body));
        }
    }
}
