//! Sensor: keeps its triggers running in the data plane.

mod observe;
pub mod plan;
pub mod status;

use jiff::Timestamp;
use reconcile_core::{
    object::{ObjectKey, Root},
    reconcile::{Controller, Done, Plan, Report},
};

pub use observe::Observed;
pub use plan::Action;

use super::{ControllerContext, ReconcileError, conditions};
use crate::{api::Sensor, worker::SensorHealth};

/// The controller of Sensors.
pub struct SensorController {
    /// What the controllers share.
    pub context: ControllerContext,
}

impl Controller for SensorController {
    type Kind = Sensor;
    type Observed = Observed;
    type Action = Action;
    type Decision = Plan<Action>;
    type Applied = SensorHealth;
    type Error = ReconcileError;

    const NAME: &'static str = "sensor-controller";

    async fn observe(&self, root: &Root<Sensor>) -> Result<Observed, ReconcileError> {
        Ok(self.look(root))
    }

    fn plan(observed: &Observed, now: Timestamp) -> Plan<Action> {
        plan::plan(observed, now)
    }

    async fn apply(
        &self,
        observed: &Observed,
        action: &Action,
    ) -> Result<SensorHealth, ReconcileError> {
        let key = &observed.object.meta.key;
        match (action, &observed.spec) {
            (Action::RemoveFinalizer, _) => {
                let client = self.context.writer(key).ok_or(ReconcileError::NotHeld)?;
                self.context
                    .set_finalizer::<Sensor>(&client, &observed.object.meta, plan::FINALIZER, false)
                    .await?;
            }
            (Action::Run, Ok((sensor, _))) => {
                if let Some(bus) = self.context.pool.get(&observed.bus_key) {
                    self.context.plane.ensure_sensor(sensor, &bus);
                }
            }
            (Action::Leave, _) => self.context.plane.let_go_of_sensor(key),
            (Action::Pause, _) | (Action::Run, Err(_)) => self.context.plane.pause_sensor(key),
        }
        Ok(self.context.plane.sensor_health(key).unwrap_or_default())
    }

    fn report(
        observed: &Observed,
        plan: &Plan<Action>,
        done: &[Done<SensorHealth, ReconcileError>],
        now: Timestamp,
    ) -> Report {
        let failure = conditions::failure(done);
        let health = done.iter().find_map(|done| done.result.as_ref().ok());
        status::report(observed, plan, health, failure.as_deref(), now)
    }

    fn let_go(&self, key: &ObjectKey) {
        self.context.plane.let_go_of_sensor(key);
    }

    fn forget(&self, key: &ObjectKey) {
        self.context.plane.remove_sensor(key);
    }
}
