//! EventSources of the data plane.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use reconcile_core::object::ObjectKey;
use tokio_util::sync::CancellationToken;

use super::{DataPlane, schedule};
use crate::{
    bus::Bus,
    source::{Calendar, CheckedSource, Emitter, listener::Refused},
};

/// An endpoint that was refused is tried again after this time: the port or path may be free then.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// An EventSource that runs.
pub(super) struct Running {
    spec: Arc<CheckedSource>,
    bus: Arc<Bus>,
    refused: Vec<Refused>,
    schedules: BTreeMap<String, (Calendar, CancellationToken)>,
}

/// How an EventSource is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceHealth {
    /// Endpoints that are not served.
    pub refused: Vec<Refused>,
}

impl DataPlane {
    /// Runs an EventSource with these settings; changes a running one in place.
    pub fn ensure_source(&self, spec: &Arc<CheckedSource>, bus: &Arc<Bus>) -> SourceHealth {
        let mut sources = self.0.sources.lock();
        let old = sources.remove(&spec.key);
        if let Some(running) = &old
            && running.spec == *spec
            && Arc::ptr_eq(&running.bus, bus)
            && running.refused.is_empty()
        {
            sources.extend(old.map(|running| (spec.key.clone(), running)));
            return SourceHealth::default();
        }
        let emitter = Arc::new(Emitter {
            key: spec.key.clone(),
            bus: bus.clone(),
            clock: self.0.clock.clone(),
            metrics: self.0.metrics.clone(),
        });
        let refused = self.0.listeners.set(&spec.key, &spec.webhooks, &emitter);
        let same_bus = old
            .as_ref()
            .is_some_and(|running| Arc::ptr_eq(&running.bus, bus));
        let mut before = old.map(|running| running.schedules).unwrap_or_default();
        let mut schedules = BTreeMap::new();
        for calendar in &spec.calendars {
            let kept = before.remove(&calendar.event).filter(|(old, stop)| {
                let keep = same_bus && old == calendar;
                if !keep {
                    stop.cancel();
                }
                keep
            });
            let running = kept.unwrap_or_else(|| {
                let stop = self.0.stop.child_token();
                let task = schedule::run(spec.uid.clone(), calendar.clone(), emitter.clone());
                let stopped = stop.clone();
                self.0.tasks.spawn(async move {
                    tokio::select! {
                        () = stopped.cancelled() => {}
                        () = task => {}
                    }
                });
                (calendar.clone(), stop)
            });
            schedules.insert(calendar.event.clone(), running);
        }
        for (_, stop) in before.values() {
            stop.cancel();
        }
        if !refused.is_empty() {
            self.0.source_queue.add_after(spec.key.clone(), TRY_AGAIN);
        }
        self.count(spec);
        let health = SourceHealth {
            refused: refused.clone(),
        };
        let running = Running {
            spec: spec.clone(),
            bus: bus.clone(),
            refused,
            schedules,
        };
        sources.insert(spec.key.clone(), running);
        health
    }

    fn count(&self, spec: &CheckedSource) {
        let names = spec.webhooks.iter().map(|webhook| &webhook.event);
        let names = names.chain(spec.calendars.iter().map(|calendar| &calendar.event));
        let mut count = 0;
        for name in names {
            self.0
                .metrics
                .source_at_zero(&[&spec.key.namespace, &spec.key.name, name]);
            count += 1;
        }
        let labels = [spec.key.namespace.as_str(), spec.key.name.as_str()];
        self.0.metrics.running.with_label_values(&labels).set(count);
    }

    /// Stops an EventSource.
    pub fn stop_source(&self, key: &ObjectKey) {
        self.0.listeners.remove(key);
        let Some(running) = self.0.sources.lock().remove(key) else {
            return;
        };
        for (_, stop) in running.schedules.values() {
            stop.cancel();
        }
        let labels = [key.namespace.as_str(), key.name.as_str()];
        drop(self.0.metrics.running.remove_label_values(&labels));
        for webhook in &running.spec.webhooks {
            self.0
                .metrics
                .drop_source(&[&key.namespace, &key.name, &webhook.event]);
        }
        for calendar in &running.spec.calendars {
            self.0
                .metrics
                .drop_source(&[&key.namespace, &key.name, &calendar.event]);
        }
    }
}
