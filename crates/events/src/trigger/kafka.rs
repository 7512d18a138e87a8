//! The kafka trigger: a record on a topic of Apache Kafka. It is successful when the broker has stored the record.

use std::{collections::BTreeMap, time::Duration};

use reconcile_core::{object::FieldError, secret::Secret};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Done, Firing, Run, Trigger, TriggerError,
    kind::{check_payload, patched, text_or_json},
};
use crate::{
    api::{
        TlsConfig,
        trigger::{Parameter, SecureHeader},
    },
    kafka::{
        cluster::{Cluster, Sasl},
        connection::KafkaError,
        produce::{partition_of, produce},
        records::{Record, batch},
        requests::Metadata,
    },
    sensor::parameter,
    source::{
        kind::{Input, SourceError},
        server::Access,
    },
};

/// A record is stored within this time.
const DEADLINE: Duration = Duration::from_secs(60);
/// Tries while partitions change their leader, and the pause between them.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(500);
/// All replicas.
const ALL: i16 = -1;
/// `LEADER_NOT_AVAILABLE` and `NOT_LEADER_OR_FOLLOWER`: nothing was stored.
const MOVED: [i16; 2] = [5, 6];

/// Publishes a record.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct KafkaTrigger {
    /// `HOST:PORT`, several with commas.
    url: String,
    /// The topic.
    topic: String,
    /// 1 for the leader alone; all replicas when 0 or -1.
    required_acks: i16,
    /// Compresses the record with Snappy.
    compress: bool,
    /// The key of the record, which chooses its partition; any partition when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    partitioning_key: Option<String>,
    /// Headers of the record.
    headers: BTreeMap<String, String>,
    /// Headers whose values are secret.
    secure_headers: Vec<SecureHeader>,
    /// TLS settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<TlsConfig>,
    /// How to log in.
    #[serde(skip_serializing_if = "Option::is_none")]
    sasl: Option<Sasl>,
    /// Refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_registry: Option<Value>,
    /// The value of the record, built from the events.
    payload: Vec<Parameter>,
    /// Patches of this trigger.
    parameters: Vec<Parameter>,
}

/// A record without the values of Secrets.
pub(super) struct KafkaRecord {
    cluster: Cluster,
    action: KafkaTrigger,
    value: Vec<u8>,
}

impl KafkaTrigger {
    fn cluster(&self, path: &str) -> Result<Cluster, FieldError> {
        let input = Input {
            path,
            value: &Value::Null,
        };
        if self.topic.is_empty() {
            return Err(input.wrong("topic", "must not be empty"));
        }
        Cluster::check(&input, &self.url, self.tls.as_ref(), self.sasl.as_ref())
    }
}

impl Trigger for KafkaTrigger {
    const KEY: &'static str = "kafka";

    type Request = KafkaRecord;

    fn check(&mut self, path: &str) -> Result<(), FieldError> {
        let wrong = |field: &str, message| FieldError::new(format!("{path}.{field}"), message);
        if self.schema_registry.is_some() {
            let message = "records are not encoded by a schema registry";
            return Err(wrong("schemaRegistry", message));
        }
        if !(-1..=1).contains(&self.required_acks) {
            return Err(wrong(
                "requiredAcks",
                "must be 1 for the leader, or -1 for all replicas",
            ));
        }
        if self.parameters.is_empty() {
            self.cluster(path)?;
        }
        check_payload(path, &self.payload)
    }

    fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    fn resolve(&self, firing: &Firing) -> Result<KafkaRecord, TriggerError> {
        let action = patched(self, firing)?;
        Ok(KafkaRecord {
            cluster: action.cluster(Self::KEY)?,
            value: parameter::payload(&action.payload, firing.inputs())?,
            action,
        })
    }

    fn preview(request: &KafkaRecord) -> Value {
        let action = &request.action;
        let plain = action.headers.iter();
        let mut headers: BTreeMap<&str, &str> = plain
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .collect();
        for header in &action.secure_headers {
            headers.insert(&header.name, "(from a Secret or ConfigMap)");
        }
        let mut shown = json!({
            "url": action.url,
            "topic": action.topic,
            "payload": text_or_json(&request.value),
        });
        if let Some(key) = &action.partitioning_key {
            shown["partitioningKey"] = json!(key);
        }
        if !headers.is_empty() {
            shown["headers"] = json!(headers);
        }
        json!({ "kafka": shown })
    }

    async fn execute(request: KafkaRecord, run: Run<'_>) -> Result<Done, TriggerError> {
        let namespace = &run.firing.sensor.namespace;
        let mut secrets = BTreeMap::new();
        for (field, key) in request.cluster.secrets() {
            let value = run.executor.secrets.needed_secret(namespace, &key).await?;
            secrets.insert(field, Secret::from(value));
        }
        let headers = headers(&request.action, run).await?;
        let action = request.action;
        let record = Record {
            offset: 0,
            timestamp: run.firing.now.as_millisecond(),
            key: action.partitioning_key.map(String::into_bytes),
            value: request.value,
            headers,
        };
        let packed = batch(&record, action.compress);
        let packed = packed.map_err(|error| TriggerError::Failed(error.to_string()))?;
        let secret = |field: &str| secrets.get(field).cloned();
        let sending = Sending {
            cluster: &request.cluster,
            access: Access {
                egress: run.executor.http.egress(),
                secret: &secret,
            },
            topic: &action.topic,
            key: record.key.as_deref(),
            batch: &packed,
            acks: if action.required_acks == 1 { 1 } else { ALL },
        };
        match tokio::time::timeout(DEADLINE, sending.send()).await {
            Ok(sent) => sent,
            Err(_) => Err(failed(&sending, "no answer in time")),
        }
    }
}

/// The headers of the record.
async fn headers(
    action: &KafkaTrigger,
    run: Run<'_>,
) -> Result<Vec<(String, Vec<u8>)>, TriggerError> {
    let plain = action.headers.iter();
    let mut all: Vec<(String, Vec<u8>)> = plain
        .map(|(name, text)| (name.clone(), text.clone().into_bytes()))
        .collect();
    for header in &action.secure_headers {
        let Some(from) = &header.value_from else {
            continue;
        };
        let (secrets, namespace) = (&run.executor.secrets, &run.firing.sensor.namespace);
        if let Some(text) = secrets.value_from(namespace, from).await? {
            all.push((
                header.name.clone(),
                text.expose_secret().as_bytes().to_vec(),
            ));
        }
    }
    Ok(all)
}

/// A record on its way.
struct Sending<'s> {
    cluster: &'s Cluster,
    access: Access<'s>,
    topic: &'s str,
    key: Option<&'s [u8]>,
    batch: &'s [u8],
    acks: i16,
}

fn failed(sending: &Sending<'_>, reason: &str) -> TriggerError {
    TriggerError::Failed(format!("{}: {reason}", sending.cluster.name()))
}

impl From<SourceError> for TriggerError {
    fn from(error: SourceError) -> Self {
        Self::Failed(error.to_string())
    }
}

impl Sending<'_> {
    /// Sends the record to the leader of its partition, wherever that moves.
    async fn send(&self) -> Result<Done, TriggerError> {
        for _ in 1..TRIES {
            match self.send_once().await? {
                Ok(done) => return Ok(done),
                Err(error) if error.code().is_some_and(|code| MOVED.contains(&code)) => {
                    tokio::time::sleep(PAUSE).await;
                }
                Err(error) => return Err(failed(self, &error.to_string())),
            }
        }
        let last = self.send_once().await?;
        last.map_err(|error| failed(self, &error.to_string()))
    }

    async fn send_once(&self) -> Result<Result<Done, KafkaError>, SourceError> {
        let mut servers = self.cluster.open(&self.access).await?;
        let asked = Metadata::ask(&mut servers, [self.topic].into_iter()).await;
        let (partition, address) = match asked.and_then(|metadata| self.place(&metadata)) {
            Ok(place) => place,
            Err(error) => return Ok(Err(error)),
        };
        let mut leader = self.cluster.reach(&self.access, &address).await?;
        let place = (self.topic, partition);
        let stored = produce(&mut leader, place, self.batch, self.acks).await;
        Ok(stored.map(|offset| {
            Done(format!(
                "{} partition {partition} offset {offset}",
                self.topic
            ))
        }))
    }

    /// The partition of the record, and its leader.
    fn place(&self, metadata: &Metadata) -> Result<(i32, (String, u16)), KafkaError> {
        let leaders = metadata.leaders(self.topic)?;
        let partition = partition_of(leaders, self.key, rand::random());
        let partition =
            partition.ok_or_else(|| KafkaError::Said("the topic has no partitions".to_owned()))?;
        let leader = leaders.get(&partition).copied().unwrap_or(-1);
        Ok((partition, metadata.broker(leader)?.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trigger::stage::Stage;

    fn trigger(more: &Value) -> KafkaTrigger {
        let mut value = json!({
            "url": "kafka.shop:9092", "topic": "orders", "partitioningKey": "k", "headers": {"tenant": "a"},
            "secureHeaders": [{"name": "token", "valueFrom": {"secretKeyRef": {"name": "s", "key": "token"}}}],
            "payload": [{"src": {"dependencyName": "a", "dataKey": "n"}, "dest": "name"}],
        });
        for (field, part) in more.as_object().expect("an object") {
            value[field] = part.clone();
        }
        serde_json::from_value(value).expect("a trigger")
    }

    #[tokio::test]
    async fn a_record_is_shown_without_secrets() {
        let stage = Stage::with_secret(&json!({}));
        let request = trigger(&json!({}))
            .resolve(&stage.firing)
            .expect("resolved");
        assert_eq!(
            KafkaTrigger::preview(&request),
            json!({"kafka": {
                "url": "kafka.shop:9092", "topic": "orders", "partitioningKey": "k", "payload": {"name": "x"},
                "headers": {"tenant": "a", "token": "(from a Secret or ConfigMap)"},
            }})
        );
    }

    #[test]
    fn what_cannot_be_sent_is_refused() {
        for (field, value) in [
            ("url", json!("http://h/p")),
            ("topic", json!("")),
            ("requiredAcks", json!(2)),
            ("schemaRegistry", json!({"url": "r"})),
            ("payload", json!([])),
            ("sasl", json!({"mechanism": "PLAIN"})),
        ] {
            let mut trigger = trigger(&json!({field: value}));
            let error = Trigger::check(&mut trigger, "t").expect_err("refused");
            assert_eq!(error.path, format!("t.{field}"));
        }
    }
}
