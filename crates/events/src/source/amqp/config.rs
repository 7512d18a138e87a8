//! The settings of an event, checked.

use std::collections::BTreeMap;

use lapin::{
    ExchangeKind,
    options::{BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable, ShortString},
};
use reconcile_core::{object::FieldError, yaml};
use serde::Deserialize;
use serde_json::Value;

use super::broker::{Broker, PASSWORD, USERNAME};
use crate::{
    api::{KeySelector, TlsConfig, trigger::BasicAuth},
    source::{kind::Input, server::ServerTls},
};

/// Most bytes of a name: its length is one byte.
const LONGEST: usize = 255;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    url: String,
    url_secret: Option<KeySelector>,
    exchange_name: String,
    exchange_type: String,
    routing_key: String,
    json_body: bool,
    auth: Option<BasicAuth>,
    tls: Option<TlsConfig>,
    exchange_declare: Option<ExchangeDeclare>,
    queue_declare: Option<QueueDeclare>,
    queue_bind: Option<QueueBind>,
    consume: Option<Consume>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the protocol")]
struct ExchangeDeclare {
    durable: bool,
    auto_delete: bool,
    internal: bool,
    no_wait: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the protocol")]
struct QueueDeclare {
    name: String,
    durable: bool,
    auto_delete: bool,
    exclusive: bool,
    no_wait: bool,
    arguments: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct QueueBind {
    no_wait: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Consume {
    consumer_tag: String,
    exclusive: bool,
    no_local: bool,
    no_wait: bool,
}

/// A checked subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) broker: Broker,
    /// Empty for the default exchange, to which every queue is bound by its name.
    pub(super) exchange: ShortString,
    pub(super) kind: ExchangeKind,
    pub(super) declare_exchange: ExchangeDeclareOptions,
    pub(super) routing_key: ShortString,
    /// Empty for one that the broker names.
    pub(super) queue: ShortString,
    pub(super) declare_queue: QueueDeclareOptions,
    pub(super) arguments: FieldTable,
    pub(super) bind: QueueBindOptions,
    pub(super) tag: ShortString,
    pub(super) consume: BasicConsumeOptions,
    /// The body is JSON, not bytes.
    pub(super) json: bool,
}

/// Checks an event.
pub(super) fn check(input: &Input<'_>) -> Result<Subscription, FieldError> {
    let config: Config = input.decode()?;
    let name = |field: &str, text: &str| {
        let name = Some(text).filter(|text| text.len() <= LONGEST);
        let name = name.ok_or_else(|| input.wrong(field, "must have 255 bytes at most"))?;
        Ok::<_, FieldError>(ShortString::from(name))
    };
    let exchange = config.exchange_declare.unwrap_or(ExchangeDeclare {
        durable: true,
        ..ExchangeDeclare::default()
    });
    let queue = config.queue_declare.unwrap_or(QueueDeclare {
        exclusive: true,
        ..QueueDeclare::default()
    });
    if config.exchange_name.is_empty() && queue.name.is_empty() {
        let message = "must be set, or queueDeclare.name: without both nothing is subscribed";
        return Err(input.wrong("exchangeName", message));
    }
    let bind = config.queue_bind.unwrap_or_default();
    let consume = config.consume.unwrap_or_default();
    Ok(Subscription {
        broker: broker(
            input,
            (&config.url, config.url_secret),
            config.tls,
            config.auth,
        )?,
        kind: exchange_kind(input, &config.exchange_name, config.exchange_type)?,
        exchange: name("exchangeName", &config.exchange_name)?,
        declare_exchange: ExchangeDeclareOptions {
            passive: false,
            durable: exchange.durable,
            auto_delete: exchange.auto_delete,
            internal: exchange.internal,
            nowait: exchange.no_wait,
        },
        routing_key: name("routingKey", &config.routing_key)?,
        queue: name("queueDeclare.name", &queue.name)?,
        declare_queue: QueueDeclareOptions {
            passive: false,
            durable: queue.durable,
            exclusive: queue.exclusive,
            auto_delete: queue.auto_delete,
            // The broker answers with the name that it chose.
            nowait: queue.no_wait && !queue.name.is_empty(),
        },
        arguments: arguments(input, &queue.arguments)?,
        bind: QueueBindOptions {
            nowait: bind.no_wait,
        },
        tag: name("consume.consumerTag", &consume.consumer_tag)?,
        consume: BasicConsumeOptions {
            no_local: consume.no_local,
            no_ack: false,
            exclusive: consume.exclusive,
            nowait: consume.no_wait,
        },
        json: config.json_body,
    })
}

fn broker(
    input: &Input<'_>,
    (url, url_secret): (&str, Option<KeySelector>),
    tls: Option<TlsConfig>,
    auth: Option<BasicAuth>,
) -> Result<Broker, FieldError> {
    let auth = auth.unwrap_or_default();
    if auth.username.is_some() != auth.password.is_some() {
        let message = "username and password belong together";
        return Err(input.wrong("auth", message));
    }
    let secrets = [(USERNAME, auth.username), (PASSWORD, auth.password)];
    let broker = Broker {
        path: input.path.to_owned(),
        url: url.to_owned(),
        url_secret,
        // An amqps URL needs no settings.
        plain: tls.is_none(),
        tls: ServerTls::check(input, Some(&tls.unwrap_or_default()))?.expect("settings are given"),
        auth: secrets
            .into_iter()
            .filter_map(|(field, selector)| Some((field, selector?)))
            .collect(),
    };
    if broker.url_secret.is_none() {
        broker
            .address(url)
            .map_err(|reason| input.wrong("url", reason))?;
    }
    Ok(broker)
}

fn exchange_kind(
    input: &Input<'_>,
    exchange: &str,
    kind: String,
) -> Result<ExchangeKind, FieldError> {
    Ok(match kind.as_str() {
        "direct" => ExchangeKind::Direct,
        "fanout" => ExchangeKind::Fanout,
        "topic" => ExchangeKind::Topic,
        "headers" => ExchangeKind::Headers,
        "" if exchange.is_empty() => ExchangeKind::Direct,
        "" => return Err(input.wrong("exchangeType", "must be set, for example topic")),
        long if long.len() > LONGEST => {
            return Err(input.wrong("exchangeType", "must have 255 bytes at most"));
        }
        _ => ExchangeKind::Custom(kind),
    })
}

/// The arguments of a queue, which are a YAML map in a text.
fn arguments(input: &Input<'_>, text: &str) -> Result<FieldTable, FieldError> {
    let wrong = |message: String| input.wrong("queueDeclare.arguments", message);
    if text.trim().is_empty() {
        return Ok(FieldTable::default());
    }
    let value = yaml::value(text).map_err(|error| wrong(error.to_string()))?;
    let Value::Object(map) = value else {
        return Err(wrong("must be a map in YAML".to_owned()));
    };
    let mut table = BTreeMap::new();
    for (name, value) in map {
        let value = argument(&value)
            .ok_or_else(|| wrong(format!("{name}: must be a string, number or boolean")))?;
        let name = ShortString::try_new(name).map_err(|error| wrong(error.to_string()))?;
        table.insert(name, value);
    }
    Ok(table.into())
}

fn argument(value: &Value) -> Option<AMQPValue> {
    Some(match value {
        Value::Bool(value) => AMQPValue::Boolean(*value),
        Value::String(text) => AMQPValue::LongString(text.as_str().into()),
        Value::Number(number) => match number.as_i64() {
            Some(number) => AMQPValue::LongLongInt(number),
            None => AMQPValue::Double(number.as_f64()?),
        },
        _ => return None,
    })
}
