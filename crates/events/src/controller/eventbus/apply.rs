//! The effects of an EventBus.

use super::{Action, EventBusController, Observed, plan::FINALIZER};
use crate::{api::EventBus, controller::ReconcileError};

impl EventBusController {
    pub(super) async fn carry_out(
        &self,
        observed: &Observed,
        action: &Action,
    ) -> Result<(), ReconcileError> {
        let meta = &observed.object.meta;
        match action {
            Action::AddFinalizer => {
                self.context
                    .set_finalizer::<EventBus>(meta, FINALIZER, true)
                    .await
            }
            Action::RemoveFinalizer => {
                self.context
                    .set_finalizer::<EventBus>(meta, FINALIZER, false)
                    .await
            }
            Action::Connect(config) => {
                let (context, key) = (self.context.clone(), meta.key.clone());
                let changed = move || context.bus_changed(&key);
                self.context
                    .pool
                    .ensure(&meta.key, config.as_ref().clone(), changed)
                    .await?;
                self.context.bus_changed(&meta.key);
                Ok(())
            }
            Action::Disconnect => {
                self.context.pool.remove(&meta.key);
                Ok(())
            }
        }
    }
}
