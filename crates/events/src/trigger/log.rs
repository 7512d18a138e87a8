//! The log trigger: one line per event.

use super::Firing;

/// Writes the events of a firing to the log.
pub(super) fn write(firing: &Firing) {
    for (dependency, event) in &firing.events {
        tracing::info!(
            sensor = %firing.sensor,
            triggerName = %firing.trigger,
            dependencyName = %dependency,
            eventContext = %event.context(),
            "{}", String::from_utf8_lossy(&event.data)
        );
    }
}
