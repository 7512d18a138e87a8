//! The effects of an EventBus.

use super::{Action, EventBusController, Observed, plan::FINALIZER};
use crate::{api::EventBus, controller::ReconcileError};

impl EventBusController {
    pub(super) async fn carry_out(
        &self,
        observed: &Observed,
        action: &Action,
    ) -> Result<(), ReconcileError> {
        let marks = &observed.about.marks;
        match action {
            Action::AddFinalizer => {
                self.shared
                    .set_finalizer::<EventBus>(marks, FINALIZER, true)
                    .await
            }
            Action::RemoveFinalizer => {
                self.shared
                    .set_finalizer::<EventBus>(marks, FINALIZER, false)
                    .await
            }
            Action::Connect(config) => {
                let (shared, key) = (self.shared.clone(), marks.key.clone());
                let changed = move || shared.bus_changed(&key);
                self.shared
                    .pool
                    .ensure(&marks.key, config.as_ref().clone(), changed)
                    .await?;
                self.shared.bus_changed(&marks.key);
                Ok(())
            }
            Action::Disconnect => {
                self.shared.pool.remove(&marks.key);
                Ok(())
            }
        }
    }
}
