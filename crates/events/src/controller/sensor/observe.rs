//! What is known about a Sensor.

use std::sync::Arc;

use jiff::Timestamp;
use reconcile_core::object::{FieldError, ObjectKey, Root};

use super::SensorController;
use crate::{
    api::{Sensor, findings::sensor_findings},
    bus::BusState,
    controller::{ObjectState, context::bus_of, dedicated::Elsewhere},
    sensor::{
        CheckedSensor,
        annotations::FILTER_ERRORS,
        checked::{Problems, check},
    },
};

/// What a plan is made from.
pub struct Observed {
    /// Metadata, status, fields without effect.
    pub object: ObjectState,
    /// The checked spec.
    pub spec: Result<(Arc<CheckedSensor>, Problems), FieldError>,
    /// The bus that it uses.
    pub bus_key: ObjectKey,
    /// The state of the bus; `None` when there is no such EventBus.
    pub bus: Option<BusState>,
    /// Who acts for it when this process does not.
    pub elsewhere: Option<Elsewhere>,
}

impl SensorController {
    pub(super) fn look(&self, root: &Root<Sensor>) -> Observed {
        let value = root.spec_value();
        let bus_key = bus_of(root);
        let checked = check(&root.key(), root.uid(), &value);
        let mut object = ObjectState::of(root, &checked, || sensor_findings(&value));
        let elsewhere = self.context.elsewhere(root, &mut object);
        Observed {
            object,
            elsewhere,
            spec: checked.map(|(mut sensor, mut problems)| {
                sensor.heed_filter_errors(root.annotation(FILTER_ERRORS), &mut problems);
                sensor.served_since = served_since(root);
                (Arc::new(sensor), problems)
            }),
            bus: self
                .context
                .pool
                .get(&bus_key)
                .map(|bus| bus.state().borrow().clone()),
            bus_key,
        }
    }
}

/// Since when the Sensor has been served with its present spec, as far as its status says so.
fn served_since(root: &Root<Sensor>) -> Option<Timestamp> {
    let status = root.status_value();
    if status.get("observedGeneration")?.as_i64()? != root.generation() {
        return None;
    }
    let deployed = status
        .get("conditions")?
        .as_array()?
        .iter()
        .find(|condition| condition["type"] == "Deployed")?;
    // Also while the bus is not connected: what happens meanwhile is meant for the Sensor.
    let served = deployed["status"] == "True"
        || ["EventBusNotReady", "NoEvents", "Connecting"]
            .iter()
            .any(|reason| deployed["reason"] == *reason);
    let since = deployed["lastTransitionTime"].as_str()?;
    since.parse().ok().filter(|_| served)
}
