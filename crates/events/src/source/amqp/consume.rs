//! Takes messages out of the queue, and acknowledges them.

use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use jiff::{Timestamp, tz::TimeZone};
use lapin::{
    BasicProperties, Channel, Consumer, ExchangeKind,
    message::Delivery,
    options::{BasicAckOptions, BasicQosOptions, ExchangeDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    broker::{DEADLINE, LoggedIn},
    config::Subscription,
};
use crate::{
    api::KeySelector,
    source::{
        body::Body,
        calendar::go_time,
        checkpoint::Checkpoint,
        kind::{Source, SourceContext, SourceError},
        rounds::{Position, Rounds},
    },
};

/// Messages that the broker delivers before the first of them is acknowledged.
pub(super) const AT_ONCE: u16 = 32;
/// The time of messages without one, as Go writes it.
const NO_TIME: &str = "0001-01-01 00:00:00 +0000 UTC";

/// What is the same for two deliveries of a message.
type Content = [u8; 32];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    content_type: &'p str,
    content_encoding: &'p str,
    delivery_mode: u8,
    priority: u8,
    correlation_id: &'p str,
    reply_to: &'p str,
    expiration: &'p str,
    message_id: &'p str,
    timestamp: String,
    r#type: &'p str,
    app_id: &'p str,
    exchange: &'p str,
    routing_key: &'p str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<&'p str, Value>,
    body: Body<'p>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Source for Subscription {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.broker.secrets()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

impl Subscription {
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let mut checkpoint = context.checkpoint().await?;
        let known = checkpoint.load::<Position>().await?;
        let broker = self.broker.connect(context).await?;
        let subscribed = tokio::time::timeout(DEADLINE, self.subscribe(&broker)).await;
        let (channel, consumer) = match subscribed {
            Ok(subscribed) => subscribed.map_err(|error| broker.failed(&error))?,
            Err(_) => return Err(broker.failed("no answer in time")),
        };
        context.report(None);
        let queue = consumer.queue().to_string();
        let reading = Reading {
            subscription: self,
            context,
            broker: &broker,
            channel,
            queue: queue.clone(),
        };
        reading
            .receive(consumer, Rounds::new(queue, known), checkpoint)
            .await
    }

    /// Declares exchange, queue and binding, and begins to consume.
    async fn subscribe(&self, broker: &LoggedIn) -> lapin::Result<(Channel, Consumer)> {
        let there = self.exchange.as_str().is_empty() || self.is_there(broker).await?;
        let channel = broker.connection.create_channel().await?;
        if !there {
            let (exchange, kind) = (self.exchange.clone(), self.kind.clone());
            channel
                .exchange_declare(exchange, kind, self.declare_exchange, FieldTable::default())
                .await?;
        }
        let queue = channel
            .queue_declare(
                self.queue.clone(),
                self.declare_queue,
                self.arguments.clone(),
            )
            .await?;
        let queue = queue.name().clone();
        if !self.exchange.as_str().is_empty() {
            let (exchange, key) = (self.exchange.clone(), self.routing_key.clone());
            channel
                .queue_bind(
                    queue.clone(),
                    exchange,
                    key,
                    self.bind,
                    FieldTable::default(),
                )
                .await?;
        }
        let qos = BasicQosOptions::default();
        channel.basic_qos(AT_ONCE, qos).await?;
        let consumer = channel
            .basic_consume(queue, self.tag.clone(), self.consume, FieldTable::default())
            .await?;
        Ok((channel, consumer))
    }

    /// Whether an exchange of a plugin's type exists. One of a delayed type cannot be declared without arguments that
    /// EventSources do not have.
    async fn is_there(&self, broker: &LoggedIn) -> lapin::Result<bool> {
        if !matches!(self.kind, ExchangeKind::Custom(_)) {
            return Ok(false);
        }
        // A question that is answered by no closes its channel.
        let channel = broker.connection.create_channel().await?;
        let passive = ExchangeDeclareOptions {
            passive: true,
            ..ExchangeDeclareOptions::default()
        };
        let (exchange, kind) = (self.exchange.clone(), self.kind.clone());
        let asked = channel
            .exchange_declare(exchange, kind, passive, FieldTable::default())
            .await;
        match asked {
            Ok(()) => Ok(true),
            Err(error) if error.is_amqp_soft_error() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// A subscription that works.
struct Reading<'r> {
    subscription: &'r Subscription,
    context: &'r SourceContext,
    broker: &'r LoggedIn,
    channel: Channel,
    queue: String,
}

impl Reading<'_> {
    async fn receive(
        &self,
        mut consumer: Consumer,
        mut rounds: Rounds<Content>,
        mut checkpoint: Checkpoint,
    ) -> Result<(), SourceError> {
        let mut publishing = FuturesOrdered::new();
        loop {
            tokio::select! {
                Some(delivery) = publishing.next() => self.acknowledge(&delivery).await?,
                delivery = consumer.next(), if publishing.len() < usize::from(AT_ONCE) => {
                    let Some(delivery) = delivery else {
                        return Err(self.broker.failed("the broker cancels the consumer: is the queue deleted?"));
                    };
                    let delivery = delivery.map_err(|error| self.broker.failed(&error))?;
                    let size = self.broker.sizes.next();
                    let content = content(&delivery, size);
                    if rounds.begins(&content, delivery.redelivered) {
                        // Messages of the last round are settled first.
                        while let Some(delivery) = publishing.next().await {
                            self.acknowledge(&delivery).await?;
                        }
                        self.settle().await?;
                        checkpoint.save(rounds.begin()).await?;
                    }
                    let round = rounds.round(content, delivery.redelivered);
                    let position = format!("{}/{round}/{}", self.queue, hex::encode(content));
                    publishing.push_back(self.publish(delivery, size, position));
                }
            }
        }
    }

    async fn acknowledge(&self, delivery: &Delivery) -> Result<(), SourceError> {
        let acknowledged = delivery.acker.ack(BasicAckOptions::default()).await;
        if acknowledged.map_err(|error| self.broker.failed(&error))? {
            return Ok(());
        }
        Err(self.broker.failed("the channel is closed"))
    }

    /// Waits until the broker has read all acknowledgements: it works through a channel in order.
    async fn settle(&self) -> Result<(), SourceError> {
        let asked = self.channel.basic_qos(AT_ONCE, BasicQosOptions::default());
        match tokio::time::timeout(DEADLINE, asked).await {
            Ok(answer) => answer.map_err(|error| self.broker.failed(&error)),
            Err(_) => Err(self.broker.failed("no answer in time")),
        }
    }

    /// Publishes a message, however long that takes; returns it to be acknowledged.
    async fn publish(&self, delivery: Delivery, size: u64, position: String) -> Delivery {
        let body = &delivery.data;
        if size > body.len() as u64 {
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            self.context.too_large(size);
            return delivery;
        }
        if let Some(body) = Body::bytes(self.context, body, self.subscription.json) {
            let payload = payload(&delivery, body, self.context.metadata());
            let server = &self.broker.address.server.address;
            let id = self.context.id(&format!("{server}/{position}"));
            self.context.emit_for_sure(id, &payload).await;
        }
        delivery
    }
}

fn payload<'p>(
    delivery: &'p Delivery,
    body: Body<'p>,
    metadata: &'p BTreeMap<String, String>,
) -> Payload<'p> {
    let properties: &BasicProperties = &delivery.properties;
    let text = |text: &'p Option<ShortString>| text.as_ref().map_or("", ShortString::as_str);
    let time = properties.timestamp().and_then(|seconds| {
        let time = Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
        Some(go_time(&time.to_zoned(TimeZone::UTC)))
    });
    let headers = properties.headers().iter().flatten();
    Payload {
        content_type: text(properties.content_type()),
        content_encoding: text(properties.content_encoding()),
        delivery_mode: properties.delivery_mode().unwrap_or_default(),
        priority: properties.priority().unwrap_or_default(),
        correlation_id: text(properties.correlation_id()),
        reply_to: text(properties.reply_to()),
        expiration: text(properties.expiration()),
        message_id: text(properties.message_id()),
        timestamp: time.unwrap_or_else(|| NO_TIME.to_owned()),
        r#type: text(properties.kind()),
        app_id: text(properties.app_id()),
        exchange: delivery.exchange.as_str(),
        routing_key: delivery.routing_key.as_str(),
        headers: headers
            .map(|(name, value)| (name.as_str(), header(value)))
            .collect(),
        body,
        metadata,
    }
}

/// A header as JSON; tables and lists inside it are left out, whose depth the sender chooses.
fn header(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(value) => (*value).into(),
        AMQPValue::ShortShortInt(value) => (*value).into(),
        AMQPValue::ShortShortUInt(value) => (*value).into(),
        AMQPValue::ShortInt(value) => (*value).into(),
        AMQPValue::ShortUInt(value) => (*value).into(),
        AMQPValue::LongInt(value) => (*value).into(),
        AMQPValue::LongUInt(value) => (*value).into(),
        AMQPValue::LongLongInt(value) => (*value).into(),
        AMQPValue::Float(value) => f64::from(*value).into(),
        AMQPValue::Double(value) => (*value).into(),
        AMQPValue::Timestamp(value) => (*value).into(),
        AMQPValue::ShortString(text) => text.as_str().into(),
        AMQPValue::LongString(text) => text.to_string().into(),
        _ => Value::Null,
    }
}

fn content(delivery: &Delivery, size: u64) -> Content {
    let properties = delivery.properties.clone();
    // The broker counts deliveries in this header.
    let headers = properties.headers().clone().unwrap_or_default();
    let headers: BTreeMap<_, _> = (&headers)
        .into_iter()
        .filter(|(name, _)| name.as_str() != "x-delivery-count")
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let properties = properties.with_headers(headers.into());
    let mut digest = Sha256::new();
    for part in [delivery.exchange.as_str(), delivery.routing_key.as_str()] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    digest.update(size.to_be_bytes());
    digest.update(&delivery.data);
    digest.update(format!("{properties:?}"));
    digest.finalize().into()
}
