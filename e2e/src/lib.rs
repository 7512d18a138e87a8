//! The test bed: a real control plane with simulated nodes, a bus, a metrics store, a Git server and a sample
//! application, started with one command or one call and gone without a trace afterwards.
//!
//! ```text
//!   bed (program) ──► Bed::up(Options)
//!                       ├─ tools          the binaries: PATH, KUBEBUILDER_ASSETS, or built once into the cache
//!                       ├─ ports, keeper  nothing collides; nothing survives us, not even after SIGKILL
//!                       ├─ control_plane  etcd, kube-apiserver, kube-controller-manager, kube-scheduler
//!                       ├─ simulation     kwok with our stages: pods that start, crash, hang or finish as set
//!                       ├─ services       nats-server with JetStream, Prometheus
//!                       ├─ git            `git http-backend` behind HTTP, with a push hook
//!                       └─ sample, load   a server that answers for every simulated pod, and real traffic to it
//! ```
//! Tests use [`Bed`] and the helpers in [`cluster`], [`operator`] and [`charts`].

pub mod bed;
pub mod bench;
mod certificates;
pub mod chance;
pub mod charts;
pub mod cluster;
mod control_plane;
pub mod demo;
pub mod git;
pub mod isolated;
mod keeper;
pub mod load;
pub mod operator;
mod pods;
mod ports;
pub mod process;
pub mod sample;
mod services;
mod simulation;
pub mod stack;
pub mod state;
pub mod targets;
pub mod tools;
pub mod usage;

pub use bed::{Bed, Options};

/// Chooses the TLS implementation for this process; calling it again does nothing.
pub fn init_tls() {
    let _already_chosen = rustls::crypto::ring::default_provider().install_default();
}
