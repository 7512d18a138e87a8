//! Commands against a bus that runs: publish, watch, list and replay dead letters, explain.
//!
//! They read the EventBus of a cluster, or connect to the server that `--server` names. Nothing of the controller has
//! to run for them.

pub mod connection;
pub mod dlq;
pub mod explain;
pub mod publish;
mod show;
pub mod tail;

pub use connection::BusArgs;
