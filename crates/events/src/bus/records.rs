//! Records: the KV buckets of sensors and schedules.

use async_nats::jetstream::{self, kv, stream::StorageType};
use bytes::Bytes;
use reconcile_core::{kube_types::names::fnv1a_64, object::ObjectKey};

use super::{Bus, BusError, error::request, options::REQUEST_DEADLINE};

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
    pub async fn bucket(&self, name: &str) -> Result<kv::Store, BusError> {
        if let Ok(store) = self.context.get_key_value(name).await {
            return Ok(store);
        }
        self.context
            .create_key_value(kv::Config {
                bucket: name.to_owned(),
                history: 1,
                storage: StorageType::File,
                num_replicas: self.config.stream.replicas,
                ..kv::Config::default()
            })
            .await
            .map_err(|error| request(format!("bucket {name}"))(&error))
    }

    /// The KV bucket of a Sensor, created where it is missing. A Sensor of the same name in another
    /// namespace has another one.
    pub(crate) async fn sensor_bucket(&self, sensor: &ObjectKey) -> Result<kv::Store, BusError> {
        for name in bucket_names(sensor) {
            let store = self.bucket(&name).await?;
            let owner = if let Some((owner, _)) = read(&store, BUCKET_OWNER).await? {
                owner
            } else {
                let namespace = Bytes::copy_from_slice(sensor.namespace.as_bytes());
                write(&store, BUCKET_OWNER, namespace.clone(), 0).await?;
                namespace
            };
            if owner == sensor.namespace.as_bytes() {
                return Ok(store);
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
            let Ok(store) = self.context.get_key_value(&name).await else {
                continue;
            };
            let owner = read(&store, BUCKET_OWNER).await?;
            if owner.is_none_or(|(owner, _)| owner == sensor.namespace.as_bytes()) {
                self.drop_bucket(&name).await?;
            }
        }
        Ok(())
    }

    async fn drop_bucket(&self, name: &str) -> Result<(), BusError> {
        match self.context.delete_stream(format!("KV_{name}")).await {
            Ok(_) => Ok(()),
            Err(error) if error.to_string().contains("not found") => Ok(()),
            Err(error) => Err(request(format!("delete bucket {name}"))(&error)),
        }
    }
}

/// The KV bucket of a Sensor as it stands; `None` when there is none.
pub(super) async fn existing_bucket(
    context: &jetstream::Context,
    sensor: &ObjectKey,
) -> Result<Option<kv::Store>, BusError> {
    for name in bucket_names(sensor) {
        let Ok(store) = context.get_key_value(&name).await else {
            continue;
        };
        let owner = read(&store, BUCKET_OWNER).await?;
        if owner.is_none_or(|(owner, _)| owner == sensor.namespace.as_bytes()) {
            return Ok(Some(store));
        }
    }
    Ok(None)
}

/// Reads a key: value and revision.
pub(crate) async fn read(store: &kv::Store, key: &str) -> Result<Option<(Bytes, u64)>, BusError> {
    let entry = tokio::time::timeout(REQUEST_DEADLINE, store.entry(key))
        .await
        .map_err(|late| request(format!("read {key}"))(&late))?
        .map_err(|error| request(format!("read {key}"))(&error))?;
    Ok(entry
        .filter(|entry| entry.operation == kv::Operation::Put)
        .map(|entry| (entry.value, entry.revision)))
}

/// Writes a key if its revision is still `revision` (0: absent); gives the new one.
pub(crate) async fn write(
    store: &kv::Store,
    key: &str,
    value: Bytes,
    revision: u64,
) -> Result<u64, BusError> {
    let outcome = tokio::time::timeout(REQUEST_DEADLINE, async {
        if revision == 0 {
            store.create(key, value).await.map_err(|error| {
                let taken = error.kind() == kv::CreateErrorKind::AlreadyExists;
                (taken, error.to_string())
            })
        } else {
            store.update(key, value, revision).await.map_err(|error| {
                let taken = error.kind() == kv::UpdateErrorKind::WrongLastRevision;
                (taken, error.to_string())
            })
        }
    })
    .await
    .map_err(|late| request(format!("write {key}"))(&late))?;
    outcome.map_err(|(taken, reason)| {
        if taken {
            BusError::Revision {
                key: key.to_owned(),
            }
        } else {
            BusError::Request {
                what: format!("write {key}"),
                reason,
            }
        }
    })
}

/// Deletes a key whatever its revision.
pub(crate) async fn erase(store: &kv::Store, key: &str) -> Result<(), BusError> {
    tokio::time::timeout(REQUEST_DEADLINE, store.delete(key))
        .await
        .map_err(|late| request(format!("delete {key}"))(&late))?
        .map_err(|error| request(format!("delete {key}"))(&error))
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
