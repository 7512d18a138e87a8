//! What is known about a Sensor.

use std::sync::Arc;

use reconcile_core::object::{FieldError, ObjectKey, Root};

use super::SensorController;
use crate::{
    api::{Sensor, fields::SENSOR},
    bus::BusState,
    controller::{About, shared::bus_of},
    sensor::{
        CheckedSensor,
        checked::{Problems, check},
    },
};

/// What a plan is made from.
pub struct Observed {
    /// Metadata, status, fields without effect.
    pub about: About,
    /// The checked spec.
    pub spec: Result<(Arc<CheckedSensor>, Problems), FieldError>,
    /// The bus that it uses.
    pub bus_key: ObjectKey,
    /// The state of the bus; `None` when there is no such EventBus.
    pub bus: Option<BusState>,
}

impl SensorController {
    pub(super) fn look(&self, root: &Root<Sensor>) -> Observed {
        let value = root.spec_value();
        let bus_key = bus_of(root);
        let checked = check(&root.key(), root.uid(), &value);
        Observed {
            about: About::of(root, checked.is_ok(), || SENSOR.findings(&value, "spec")),
            spec: checked.map(|(sensor, problems)| (Arc::new(sensor), problems)),
            bus: self
                .shared
                .pool
                .get(&bus_key)
                .map(|bus| bus.state().borrow().clone()),
            bus_key,
        }
    }
}
