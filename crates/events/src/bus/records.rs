//! Records: the KV buckets of sensors and schedules.

use std::fmt::Display;

use async_nats::jetstream::{self, kv, stream::StorageType};
use bytes::Bytes;
use reconcile_core::{kube_types::names::fnv1a_64, object::ObjectKey, redaction::Redactor};

use super::{Bus, BusError, error::refused, options::REQUEST_DEADLINE};

/// A KV bucket.
pub(crate) struct Bucket {
    store: kv::Store,
    redactor: Redactor,
}

/// The record that holds the namespace of a Sensor's bucket.
const BUCKET_OWNER: &str = "_owner";

/// Upstream's name of a Sensor's bucket, and the one that is used where that belongs to another namespace.
fn bucket_names(sensor: &ObjectKey) -> [String; 2] {
    let plain = super::bucket(&sensor.name);
    let qualified = format!("{plain}-{:016x}", fnv1a_64(sensor.to_string().as_bytes()));
    [plain, qualified]
}

/// The key of a record, made of names. Those that a key can hold stay as they are, which is upstream's
/// form; other characters are written as `=` and two hexadecimal digits per byte, because names of
/// triggers and events are free text.
pub(crate) fn key(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| key_part(name)).collect();
    names.join("/")
}

fn key_part(name: &str) -> String {
    let bytes = name.as_bytes();
    let alphanumeric = |at: Option<usize>| {
        at.and_then(|at| bytes.get(at))
            .is_some_and(u8::is_ascii_alphanumeric)
    };
    let mut part = String::with_capacity(name.len());
    for (at, byte) in bytes.iter().enumerate() {
        let dot_inside =
            *byte == b'.' && alphanumeric(at.checked_sub(1)) && alphanumeric(at.checked_add(1));
        if byte.is_ascii_alphanumeric() || b"-_".contains(byte) || dot_inside {
            part.push(char::from(*byte));
        } else {
            part.push('=');
            part.push_str(&hex::encode_upper([*byte]));
        }
    }
    part
}

impl Bus {
    /// The KV bucket `name`, made where it is missing.
    pub(crate) async fn bucket(&self, name: &str) -> Result<Bucket, BusError> {
        if let Some(bucket) = Bucket::find(&self.context, name, &self.redactor).await {
            return Ok(bucket);
        }
        let store = self
            .context
            .create_key_value(kv::Config {
                bucket: name.to_owned(),
                history: 1,
                storage: StorageType::File,
                num_replicas: self.config.stream.replicas,
                ..kv::Config::default()
            })
            .await
            .map_err(|error| self.refused(format!("bucket {name}"), &error))?;
        Ok(Bucket {
            store,
            redactor: self.redactor.clone(),
        })
    }

    /// The KV bucket of a Sensor, created where it is missing. A Sensor of the same name in another
    /// namespace has another one.
    pub(crate) async fn sensor_bucket(&self, sensor: &ObjectKey) -> Result<Bucket, BusError> {
        for name in bucket_names(sensor) {
            let bucket = self.bucket(&name).await?;
            let owner = if let Some((owner, _)) = bucket.read(BUCKET_OWNER).await? {
                owner
            } else {
                let namespace = Bytes::copy_from_slice(sensor.namespace.as_bytes());
                bucket.write(BUCKET_OWNER, namespace.clone(), 0).await?;
                namespace
            };
            if owner == sensor.namespace.as_bytes() {
                return Ok(bucket);
            }
        }
        Err(BusError::Request {
            what: format!("bucket of {sensor}"),
            reason: "its names belong to Sensors of other namespaces".to_owned(),
        })
    }

    /// Removes the bucket of a Sensor; an absent one is fine.
    pub(crate) async fn drop_sensor_bucket(&self, sensor: &ObjectKey) -> Result<(), BusError> {
        for name in bucket_names(sensor) {
            let found = Bucket::find(&self.context, &name, &self.redactor).await;
            if let Some(bucket) = found
                && bucket.may_belong_to(sensor).await?
            {
                self.drop_bucket(&name).await?;
            }
        }
        Ok(())
    }

    async fn drop_bucket(&self, name: &str) -> Result<(), BusError> {
        match self.context.delete_stream(format!("KV_{name}")).await {
            Ok(_) => Ok(()),
            Err(error) if error.to_string().contains("not found") => Ok(()),
            Err(error) => Err(self.refused(format!("delete bucket {name}"), &error)),
        }
    }
}

/// The KV bucket of a Sensor as it stands; `None` when there is none.
pub(super) async fn existing_bucket(
    context: &jetstream::Context,
    sensor: &ObjectKey,
    redactor: &Redactor,
) -> Result<Option<Bucket>, BusError> {
    for name in bucket_names(sensor) {
        if let Some(bucket) = Bucket::find(context, &name, redactor).await
            && bucket.may_belong_to(sensor).await?
        {
            return Ok(Some(bucket));
        }
    }
    Ok(None)
}

impl Bucket {
    /// The bucket `name`; `None` when there is none.
    async fn find(context: &jetstream::Context, name: &str, redactor: &Redactor) -> Option<Self> {
        let store = context.get_key_value(name).await.ok()?;
        Some(Self {
            store,
            redactor: redactor.clone(),
        })
    }

    /// False when the bucket says that it belongs to a Sensor of another namespace; upstream's say nothing.
    async fn may_belong_to(&self, sensor: &ObjectKey) -> Result<bool, BusError> {
        let owner = self.read(BUCKET_OWNER).await?;
        Ok(owner.is_none_or(|(owner, _)| owner == sensor.namespace.as_bytes()))
    }

    /// Reads a key: value and revision.
    pub(crate) async fn read(&self, key: &str) -> Result<Option<(Bytes, u64)>, BusError> {
        let failed = |error: &dyn Display| self.refused(format!("read {key}"), error);
        let entry = tokio::time::timeout(REQUEST_DEADLINE, self.store.entry(key))
            .await
            .map_err(|late| failed(&late))?
            .map_err(|error| failed(&error))?;
        Ok(entry
            .filter(|entry| entry.operation == kv::Operation::Put)
            .map(|entry| (entry.value, entry.revision)))
    }

    /// Writes a key if its revision is still `revision` (0: absent); gives the new one.
    pub(crate) async fn write(
        &self,
        key: &str,
        value: Bytes,
        revision: u64,
    ) -> Result<u64, BusError> {
        let failed = |error: &dyn Display| self.refused(format!("write {key}"), error);
        let outcome = tokio::time::timeout(REQUEST_DEADLINE, async {
            if revision == 0 {
                self.store.create(key, value).await.map_err(|error| {
                    let taken = error.kind() == kv::CreateErrorKind::AlreadyExists;
                    (taken, error.to_string())
                })
            } else {
                let updated = self.store.update(key, value, revision).await;
                updated.map_err(|error| {
                    let taken = error.kind() == kv::UpdateErrorKind::WrongLastRevision;
                    (taken, error.to_string())
                })
            }
        })
        .await
        .map_err(|late| failed(&late))?;
        outcome.map_err(|(taken, reason)| {
            if taken {
                BusError::Revision {
                    key: key.to_owned(),
                }
            } else {
                failed(&reason)
            }
        })
    }

    /// Deletes a key whatever its revision.
    pub(crate) async fn erase(&self, key: &str) -> Result<(), BusError> {
        let failed = |error: &dyn Display| self.refused(format!("delete {key}"), error);
        tokio::time::timeout(REQUEST_DEADLINE, self.store.delete(key))
            .await
            .map_err(|late| failed(&late))?
            .map_err(|error| failed(&error))
    }

    fn refused(&self, what: String, error: &dyn Display) -> BusError {
        refused(&self.redactor, what, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_plain_names_and_can_hold_any_other() {
        assert_eq!(key(&["my-trigger", "dep_a.b"]), "my-trigger/dep_a.b");
        assert_eq!(key(&["my trigger", "a/b"]), "my=20trigger/a=2Fb");
        assert_eq!(key(&[".a..b."]), "=2Ea=2E=2Eb=2E");
        // Different names never share a record.
        assert_ne!(key(&["a=20b"]), key(&["a b"]));
        assert!(key(&["größe"]).is_ascii());
    }
}
