//! EventBus, EventSource and Sensor, served by one process.
//!
//! ```text
//!   EventSource ─► source ─► CloudEvent ─► bus (JetStream) ─► sensor: filters ─► conditions ─► trigger
//!                   │                                           │
//!        listeners, schedules                       worker: tasks, acknowledgements, retries
//!
//!   controller   observe, plan, apply, report for each kind; starts, changes and stops the tasks
//!   api          the kinds as users write them, and the support ledger
//! ```
//!
//! Watches `EventBuses`, EventSources and Sensors. Writes their status, the Service and EndpointSlice of
//! an EventSource, and what triggers ask for, as the service account of the Sensor.

pub mod amqp10;
pub mod api;
pub mod args;
pub mod aws;
mod azure;
pub mod azure_storage;
pub mod bus;
pub mod controller;
pub mod event;
mod frame_stream;
mod grpc;
pub mod http_client;
pub mod json;
mod kafka;
pub mod metrics;
pub mod nats;
pub mod nats_client;
pub mod offline;
pub mod operate;
mod panics;
mod pulsar;
pub mod replicas;
pub mod run;
mod s3;
pub mod sensor;
pub mod source;
#[cfg(any(feature = "git", feature = "sftp"))]
mod ssh_host_keys;
pub mod tls;
pub mod trigger;
pub mod worker;
