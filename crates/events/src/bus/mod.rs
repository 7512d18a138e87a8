//! The bus: a JetStream with upstream's names, so that objects can be moved one by one.
//!
//! ```text
//!   stream `default`        subjects default.<event source>.<event>, message id = event id
//!   durable consumers       group-<FNV-1a 32 of sensor-trigger-dependency>; its metadata names the owner
//!   KV bucket <sensor>      saved events of triggers that wait for several dependencies; `_owner` holds the
//!                           namespace
//!   where these belong to another Sensor already, a hash that includes the namespace is appended
//!   stream `dlq`            subjects dlq.<sensor>.<trigger>: what spent its tries
//! ```
//!
//! One connection per EventBus, kept for ever: it reconnects by itself after the server was unreachable, and what
//! is missing on the server is made again.

mod browse;
mod config;
mod connection;
mod consumers;
mod error;
mod options;
mod pool;
mod probe;
mod publish;
mod records;
#[cfg(test)]
mod refusals;
mod streams;
mod url;

pub use browse::{Browser, ConsumerProgress, From, Message};
pub use config::{Auth, BusConfig, StreamSettings};
pub use connection::{Bus, BusState};
pub(crate) use consumers::delivery;
pub use consumers::{ACK_WAIT, Attached, Before, ConsumerOwner, MAX_HELD, StoredMessage};
pub use error::BusError;
pub(crate) use options::{with_credentials, with_nkey};
pub use pool::BusPool;
pub(crate) use records::{Bucket, key};
pub use url::ServerUrl;

use async_nats::HeaderMap;
use reconcile_core::{kube_types::names::fnv1a_32, object::ObjectKey};

/// The stream of all events.
pub const STREAM: &str = "default";
/// The header that says which namespace an event comes from: a bus may serve several.
pub const NAMESPACE: &str = "Argo-Events-Namespace";
/// The header of an event that is for one trigger only, NAMESPACE/SENSOR/TRIGGER: it was replayed from a dead letter.
pub const ONLY_FOR: &str = "Argo-Events-Only-For";
/// The stream of what spent its tries.
pub const DEAD_LETTERS: &str = "dlq";

/// The only trigger that an event is for, as `NAMESPACE/SENSOR/TRIGGER`.
pub(crate) fn only_for(headers: &HeaderMap) -> Option<String> {
    headers.get(ONLY_FOR).map(|value| value.as_str().to_owned())
}

/// Why an event with this value of [`ONLY_FOR`] is not for a trigger; `None` when it is.
pub(crate) fn replayed_for_another(
    only_for: Option<&str>,
    sensor: &ObjectKey,
    trigger: &str,
) -> Option<String> {
    let only_for = only_for?;
    (only_for != format!("{sensor}/{trigger}")).then(|| format!("replayed for {only_for} only"))
}

/// The namespace that an event comes from; upstream's sources do not say.
pub(crate) fn namespace(headers: &HeaderMap) -> Option<String> {
    headers
        .get(NAMESPACE)
        .map(|value| value.as_str().to_owned())
}

/// The durable consumer of one dependency of one trigger.
pub fn durable(sensor: &str, trigger: &str, dependency: &str) -> String {
    format!(
        "group-{}",
        fnv1a_32(format!("{sensor}-{trigger}-{dependency}").as_bytes())
    )
}

/// The subject for what spent its tries; characters that a subject cannot hold are replaced.
pub fn dead_letter_subject(sensor: &str, trigger: &str) -> String {
    format!("{DEAD_LETTERS}.{}.{}", token(sensor), token(trigger))
}

/// The KV bucket of a sensor; a bucket name has no dots.
pub fn bucket(sensor: &str) -> String {
    sensor.replace('.', "_")
}

/// True when `name` can be one token of a subject.
pub fn is_token(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '.' || c.is_whitespace() || c == '>')
}

fn token(name: &str) -> String {
    name.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_".contains(c) {
                c
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_on_the_wire() {
        // Computed with Go's hash/fnv: FNV-1a of "sensor-trigger-dep", 32 bits.
        assert_eq!(durable("sensor", "trigger", "dep"), "group-909418622");
        assert_eq!(
            dead_letter_subject("a.b", "my trigger"),
            "dlq.a_b.my_trigger"
        );
        assert!(is_token("push") && is_token("*") && !is_token("a.b") && !is_token(""));
    }
}
