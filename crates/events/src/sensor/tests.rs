//! What a Sensor decides, without a bus.

mod checks;
mod filters;
mod pacing;
mod parameters;
mod scripts;
mod sets;

use crate::event::CloudEvent;

/// An event with this payload.
fn event(data: &str) -> CloudEvent {
    CloudEvent {
        id: "id-1".into(),
        source: "src".into(),
        type_: "webhook".into(),
        subject: "push".into(),
        datacontenttype: "application/json".into(),
        time: "2026-01-02T03:04:05Z".into(),
        data: data.to_owned().into(),
    }
}

fn now() -> jiff::Timestamp {
    "2026-01-02T03:04:06Z".parse().expect("a time")
}
