//! What a source remembers over restarts: one record per event, on the bus.

use reconcile_core::object::ObjectKey;
use serde::{Serialize, de::DeserializeOwned};

use crate::bus::{self, Bucket, Bus, BusError};

/// The bucket of all checkpoints; its first letter keeps it apart from those of Sensors.
const BUCKET: &str = "_ticks";

/// The record of one event. Writes are checked against the revision that is known here, so that a second
/// writer is noticed.
pub struct Checkpoint {
    bucket: Bucket,
    key: String,
    revision: u64,
}

impl Checkpoint {
    pub(super) async fn open(bus: &Bus, source: &ObjectKey, event: &str) -> Result<Self, BusError> {
        Ok(Self {
            bucket: bus.bucket(BUCKET).await?,
            // With the namespace, because one server may be the bus of several.
            key: bus::key(&[&source.namespace, &source.name, event]),
            revision: 0,
        })
    }

    /// The record; `None` when there is none, or one of another form.
    pub async fn load<T: DeserializeOwned>(&mut self) -> Result<Option<T>, BusError> {
        let known = self.bucket.read(&self.key).await?;
        self.revision = known.as_ref().map_or(0, |(_, revision)| *revision);
        Ok(known.and_then(|(value, _)| serde_json::from_slice(&value).ok()))
    }

    /// Replaces the record.
    pub async fn save<T: Serialize>(&mut self, record: &T) -> Result<(), BusError> {
        let value = serde_json::to_vec(record).expect("records have string keys only");
        self.revision = self
            .bucket
            .write(&self.key, value.into(), self.revision)
            .await?;
        Ok(())
    }
}
