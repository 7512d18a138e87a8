//! What an EventSource got of what it asked for.

use std::collections::BTreeMap;

use super::targets::TARGETS;

/// An endpoint that is not served, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Name of the event.
    pub event: String,
    /// Why not.
    pub reason: String,
}

/// What an EventSource got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Endpoints that are not served.
    pub refused: Vec<Refused>,
    /// By port of the manifest: why it is not open for callers without a Service.
    pub closed: BTreeMap<u16, ClosedPort>,
    /// By port of the manifest: the port of this process that the Service leads to.
    pub targets: BTreeMap<u16, u16>,
}

/// Why the port of a manifest is not open, or not for all endpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClosedPort {
    /// EventSources of several namespaces name it.
    Contested,
    /// It belongs to the controller, which serves targets or probes there.
    Reserved,
    /// A reason that may pass.
    Busy(String),
}

impl std::fmt::Display for ClosedPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Contested => f.write_str("named by EventSources of several namespaces"),
            Self::Reserved => {
                let (first, last) = (TARGETS.start(), TARGETS.end());
                write!(
                    f,
                    "the controller keeps ports {first} to {last} and those of its own endpoints for itself"
                )
            }
            Self::Busy(reason) => f.write_str(reason),
        }
    }
}
