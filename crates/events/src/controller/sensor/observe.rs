//! What is known about a Sensor.

use std::sync::Arc;

use reconcile_core::{
    fields::Finding,
    object::{FieldError, ObjectKey, Root},
};
use serde_json::Value;

use super::SensorController;
use crate::{
    api::{Sensor, fields::SENSOR},
    bus::BusState,
    controller::shared::{Marks, bus_of},
    sensor::{
        CheckedSensor,
        checked::{Problems, check},
    },
};

/// What a plan is made from.
pub struct Observed {
    /// Metadata.
    pub marks: Marks,
    /// The status as it stands.
    pub status: Value,
    /// The checked spec.
    pub spec: Result<(Arc<CheckedSensor>, Problems), FieldError>,
    /// Fields without effect.
    pub findings: Vec<Finding>,
    /// The bus that it uses.
    pub bus_key: ObjectKey,
    /// The state of the bus; `None` when there is no such EventBus.
    pub bus: Option<BusState>,
}

impl SensorController {
    pub(super) fn look(&self, root: &Root<Sensor>) -> Observed {
        let marks = Marks::of(root);
        let value = root.spec_value();
        let bus_key = bus_of(root);
        let checked = check(&marks.key, &marks.uid, &value);
        Observed {
            status: root.status_value(),
            // What is ignored does not matter where nothing runs.
            findings: if checked.is_ok() {
                SENSOR.findings(&value, "spec")
            } else {
                Vec::new()
            },
            spec: checked.map(|(sensor, problems)| (Arc::new(sensor), problems)),
            bus: self
                .shared
                .pool
                .get(&bus_key)
                .map(|bus| bus.state().borrow().clone()),
            bus_key,
            marks,
        }
    }
}
