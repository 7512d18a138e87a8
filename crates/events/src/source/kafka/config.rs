//! The settings of an event, checked.

use std::time::Duration;

use reconcile_core::object::FieldError;
use serde::Deserialize;
use serde_json::Value;

use super::assign::Strategy;
use crate::{
    api::TlsConfig,
    kafka::cluster::{Cluster, Sasl},
    source::kind::Input,
};

/// Longest name of a topic, as Kafka has it.
const LONGEST_TOPIC: usize = 249;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    url: String,
    topic: String,
    partition: String,
    consumer_group: Option<ConsumerGroup>,
    json_body: bool,
    limit_events_per_second: i64,
    sasl: Option<Sasl>,
    tls: Option<TlsConfig>,
    schema_registry: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConsumerGroup {
    group_name: String,
    oldest: bool,
    rebalance_strategy: String,
}

/// A consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) name: String,
    /// A new group begins with the oldest record, not with the next one.
    pub(super) oldest: bool,
    pub(super) strategy: Strategy,
}

/// Which partitions are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Those that the group assigns.
    Group(Group),
    /// One.
    Partition(i32),
}

/// A checked subscription.
#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) cluster: Cluster,
    pub(super) topic: String,
    pub(super) reading: Reading,
    pub(super) json: bool,
    /// Time between two events, at least.
    pub(super) pace: Option<Duration>,
}

/// Checks an event.
pub(super) fn check(input: &Input<'_>) -> Result<Subscription, FieldError> {
    let config: Config = input.decode()?;
    let topic = config.topic.trim();
    if topic.is_empty() || topic.len() > LONGEST_TOPIC {
        return Err(input.wrong("topic", "must be the name of a topic"));
    }
    if config.schema_registry.is_some() {
        let message = "records are not decoded by a schema registry; without it the body is the record in base64";
        return Err(input.wrong("schemaRegistry", message));
    }
    let (tls, sasl) = (config.tls.as_ref(), config.sasl.as_ref());
    Ok(Subscription {
        cluster: Cluster::check(input, &config.url, tls, sasl)?,
        topic: topic.to_owned(),
        reading: reading(input, config.consumer_group, &config.partition)?,
        json: config.json_body,
        pace: match config.limit_events_per_second {
            0 => None,
            limit => {
                let message = "must be 0, for no limit, or a number of events";
                let limit = u32::try_from(limit);
                let limit = limit.map_err(|_| input.wrong("limitEventsPerSecond", message))?;
                Some(Duration::from_secs(1) / limit)
            }
        },
    })
}

fn reading(
    input: &Input<'_>,
    group: Option<ConsumerGroup>,
    partition: &str,
) -> Result<Reading, FieldError> {
    let Some(group) = group else {
        let partition = partition.trim().parse().ok().filter(|number| *number >= 0);
        let message = "must be the number of a partition where there is no consumerGroup";
        let partition = partition.ok_or_else(|| input.wrong("partition", message))?;
        return Ok(Reading::Partition(partition));
    };
    if group.group_name.is_empty() || group.group_name.len() > LONGEST_TOPIC {
        return Err(input.wrong("consumerGroup.groupName", "must be a name"));
    }
    Ok(Reading::Group(Group {
        name: group.group_name,
        oldest: group.oldest,
        strategy: Strategy::of(&group.rebalance_strategy),
    }))
}
