//! The pulsar trigger: a message on a topic of Apache Pulsar. It is successful when the broker has stored the message.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use reconcile_core::{object::FieldError, secret::Secret};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Done, Firing, Run, Trigger, TriggerError,
    kind::{check_payload, patched, text_or_json},
};
use crate::{
    api::trigger::{Backoff, Parameter},
    pulsar::{
        cluster::{Cluster, PulsarServer},
        produce::Producer,
        topic,
    },
    sensor::{parameter, retry::Retry},
    source::{
        kind::{Input, SourceError},
        server::Access,
    },
};

/// A message is stored within this time.
const DEADLINE: Duration = Duration::from_secs(60);
/// Triggers whose producers are kept; beyond that number all are dropped, and made again when needed.
const MOST_TRIGGERS: usize = 64;
/// Producers of a trigger: one for each partition that had a message.
const MOST_PRODUCERS: usize = 16;

/// Publishes a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PulsarTrigger {
    /// The cluster.
    #[serde(flatten)]
    server: PulsarServer,
    /// The topic.
    topic: String,
    /// How often and how soon a connection is tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    connection_backoff: Option<Backoff>,
    /// The message, built from the events.
    payload: Vec<Parameter>,
    /// Patches of this trigger.
    parameters: Vec<Parameter>,
}

/// A message without the values of Secrets.
pub(super) struct PulsarRequest {
    cluster: Cluster,
    /// The settings, by which producers are kept.
    action: PulsarTrigger,
    topic: String,
    tries: Retry,
    body: Bytes,
}

impl PulsarTrigger {
    /// The cluster, the topic, and how connections are tried.
    fn checked(&self, path: &str) -> Result<(Cluster, String, Retry), FieldError> {
        let input = Input {
            path,
            value: &Value::Null,
        };
        let cluster = Cluster::check(&input, &self.server)?;
        let topic = topic::whole(&self.topic).map_err(|message| input.wrong("topic", message))?;
        let tries = match &self.connection_backoff {
            Some(backoff) => Retry::check(&format!("{path}.connectionBackoff"), backoff)?,
            None => Retry::default(),
        };
        Ok((cluster, topic, tries))
    }
}

impl Trigger for PulsarTrigger {
    const KEY: &'static str = "pulsar";

    type Request = PulsarRequest;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        if self.parameters.is_empty() {
            self.checked(path)?;
        }
        check_payload(path, &self.payload)
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<PulsarRequest, TriggerError> {
        let action = patched(self, firing)?;
        let (cluster, topic, tries) = action.checked(Self::KEY)?;
        Ok(PulsarRequest {
            cluster,
            topic,
            tries,
            body: parameter::payload(&action.payload, firing.inputs())?.into(),
            action,
        })
    }

    fn preview(request: &PulsarRequest) -> Value {
        json!({ "pulsar": {
            "url": request.action.server.url,
            "topic": request.topic,
            "payload": text_or_json(&request.body),
        } })
    }

    async fn execute(request: PulsarRequest, run: Run<'_>) -> Result<Done, TriggerError> {
        let namespace = &run.firing.sensor.namespace;
        let fields = request.cluster.secrets();
        let mut values = Vec::new();
        for (_, key) in &fields {
            let value = run.executor.secrets.needed_secret(namespace, key).await?;
            values.push(Secret::from(value));
        }
        let secret = |field: &str| {
            let at = fields.iter().position(|(name, _)| *name == field)?;
            values.get(at).cloned()
        };
        let sending = Sending {
            request: &request,
            access: Access {
                egress: run.executor.http.egress(),
                secret: &secret,
            },
            kept: run.executor.pulsar.of(run.firing, &request, &values),
        };
        let sent = match tokio::time::timeout(DEADLINE, sending.send(run)).await {
            Ok(sent) => sent,
            Err(_) => Err(request.cluster.failed("no answer in time")),
        };
        // Brokers answer with whole traces.
        let short = |error: SourceError| run.executor.secrets.excerpt(error.to_string());
        sent.map_err(|error| TriggerError::Failed(short(error)))
    }
}

/// Producers by trigger and settings. Clones share them.
#[derive(Clone, Default)]
pub struct PulsarProducers(Arc<Mutex<HashMap<String, Opened>>>);

/// The producers that were opened with these Secrets.
type Opened = (Vec<Secret>, Arc<Kept>);

/// The producers of a trigger.
#[derive(Default)]
struct Kept(Mutex<Topic>);

/// A topic, as it was found the last time that a producer was opened.
#[derive(Default)]
struct Topic {
    partitions: u32,
    /// By the number of their partition.
    producers: HashMap<u32, Producer>,
}

impl PulsarProducers {
    fn of(&self, firing: &Firing, request: &PulsarRequest, values: &[Secret]) -> Arc<Kept> {
        let (server, topic) = (&request.action.server, &request.topic);
        // Without the values, which are compared and never printed.
        let id = format!("{}/{} {topic} {server:?}", firing.sensor, firing.trigger);
        let mut all = self.0.lock();
        if let Some((known, kept)) = all.get(&id)
            && known == values
        {
            return kept.clone();
        }
        if all.len() >= MOST_TRIGGERS {
            all.clear();
        }
        let kept = Arc::new(Kept::default());
        all.insert(id, (values.to_vec(), kept.clone()));
        kept
    }
}

impl Kept {
    /// A producer that is open, of any partition, with the number of its partition.
    fn open(&self) -> Option<(u32, Producer)> {
        let mut topic = self.0.lock();
        topic.producers.retain(|_, producer| producer.is_open());
        let partition = partition_of(topic.partitions);
        let producer = topic.producers.get(&partition)?;
        Some((partition, producer.clone()))
    }

    fn keep(&self, partitions: u32, partition: u32, producer: &Producer) {
        let mut topic = self.0.lock();
        topic.partitions = partitions;
        if topic.producers.len() >= MOST_PRODUCERS {
            topic.producers.clear();
        }
        topic.producers.insert(partition, producer.clone());
    }
}

/// Any partition; 0 for a topic that has none.
fn partition_of(partitions: u32) -> u32 {
    rand::random_range(0..partitions.max(1))
}

/// A message on its way.
struct Sending<'s> {
    request: &'s PulsarRequest,
    access: Access<'s>,
    kept: Arc<Kept>,
}

impl Sending<'_> {
    async fn send(&self, run: Run<'_>) -> Result<Done, SourceError> {
        loop {
            let (partition, producer) = match self.kept.open() {
                Some(open) => open,
                None => self.open().await?,
            };
            let (largest, size) = (producer.largest(), self.request.body.len());
            if size > largest {
                let reason =
                    format!("the payload has {size} bytes, and the broker takes {largest}");
                return Err(self.failed(&reason));
            }
            let sent = producer.send(self.request.body.clone(), run.firing.now);
            // One that ended before it took the message sent nothing.
            let Some(stored) = sent.await else { continue };
            let id = stored.map_err(|error| self.failed(&error.to_string()))?;
            let name = &self.request.topic;
            return Ok(Done(format!(
                "{name} partition {partition} message {}:{}",
                id.ledger, id.entry
            )));
        }
    }

    fn failed(&self, reason: &str) -> SourceError {
        let topic = &self.request.topic;
        self.request.cluster.failed(&format!("{topic}: {reason}"))
    }

    /// Opens a producer, as often as the back-off says.
    async fn open(&self) -> Result<(u32, Producer), SourceError> {
        let mut tried = 0;
        loop {
            let error = match self.open_once().await {
                Ok(opened) => return Ok(opened),
                Err(error) => error,
            };
            tried += 1;
            match self.request.tries.after(tried, rand::random()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn open_once(&self) -> Result<(u32, Producer), SourceError> {
        let (cluster, name) = (&self.request.cluster, &self.request.topic);
        let mut servers = cluster.open(&self.access).await?;
        let partitions = cluster.partitions(&mut servers, name).await?;
        let partition = partition_of(partitions);
        let part = topic::part(name, partitions, partition);
        let producer = Producer::open(cluster, &self.access, &mut servers, &part).await?;
        self.kept.keep(partitions, partition, &producer);
        Ok((partition, producer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::stage::Stage;

    fn trigger(more: &Value) -> PulsarTrigger {
        let mut value = json!({
            "url": "pulsar://pulsar.shop:6650", "topic": "orders",
            "payload": [{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "name"}],
        });
        for (field, part) in more.as_object().expect("an object") {
            value[field] = part.clone();
        }
        serde_json::from_value(value).expect("a trigger")
    }

    #[tokio::test]
    async fn a_message_is_shown_with_its_parameters() {
        let stage = Stage::with_secret(&json!({}));
        let patch = json!({"parameters": [
            {"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "topic"},
            {"src": {"dependencyName": "a", "value": "pulsar+ssl://b:1"}, "dest": "url"},
        ]});
        let request = trigger(&patch).resolve(&stage.firing).expect("resolved");
        assert_eq!(
            PulsarTrigger::preview(&request),
            json!({"pulsar": {
                "url": "pulsar+ssl://b:1", "topic": "persistent://public/default/x", "payload": {"name": "x"},
            }})
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (field, value) in [
            ("url", json!("http://h/p")),
            ("topic", json!("")),
            ("payload", json!([])),
            ("authAthenzParams", json!({"a": "b"})),
            ("connectionBackoff.steps", json!(-1)),
        ] {
            let more = match field.split_once('.') {
                Some((outer, inner)) => json!({outer: {inner: value}}),
                None => json!({field: value}),
            };
            let error = Trigger::check(&mut trigger(&more), "t").expect_err("refused");
            assert_eq!(error.path, format!("t.{field}"));
        }
    }
}
