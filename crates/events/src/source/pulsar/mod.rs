//! `pulsar`: the messages of topics of Apache Pulsar, by a subscription that has the name of the event.
//!
//! A message is acknowledged after the bus has stored its event. The id of an event is made of the place of its message
//! in the topic, so a message that comes again is one event.

mod consume;
mod publish;

use std::{collections::BTreeSet, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use reconcile_core::object::FieldError;
use serde::Deserialize;

use super::kind::{Input, Source, SourceContext, SourceError, SourceKind};
use crate::{
    api::KeySelector,
    pulsar::{
        cluster::{Cluster, PulsarServer},
        proto::{EXCLUSIVE, SHARED},
        topic,
    },
};

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "pulsar",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// Topics of an event.
const MOST_TOPICS: usize = 64;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    #[serde(flatten)]
    server: PulsarServer,
    topics: Vec<String>,
    #[serde(rename = "type")]
    kind: String,
    json_body: bool,
}

/// A checked subscription.
#[derive(Debug)]
struct Subscription {
    cluster: Cluster,
    topics: BTreeSet<String>,
    /// The type, as the protocol numbers it.
    kind: i32,
    /// The body is JSON, not bytes.
    json: bool,
}

fn check(input: &Input<'_>) -> Result<Subscription, FieldError> {
    let config: Config = input.decode()?;
    let kind = match config.kind.as_str() {
        "exclusive" => EXCLUSIVE,
        "shared" => SHARED,
        _ => return Err(input.wrong("type", "must be exclusive or shared")),
    };
    if config.topics.is_empty() || config.topics.len() > MOST_TOPICS {
        let message = format!("must name a topic, and {MOST_TOPICS} at most");
        return Err(input.wrong("topics", message));
    }
    let names = config.topics.iter().enumerate();
    let topics = names.map(|(index, name)| {
        topic::whole(name).map_err(|message| input.wrong(&format!("topics[{index}]"), message))
    });
    Ok(Subscription {
        cluster: Cluster::check(input, &config.server)?,
        topics: topics.collect::<Result<_, _>>()?,
        kind,
        json: config.json_body,
    })
}

impl Source for Subscription {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.cluster.secrets()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        consume::follow(self, context).boxed()
    }
}
