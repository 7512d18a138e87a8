//! The HTTP endpoints for probes and Prometheus: `/metrics`, `/healthz`, `/readyz`.

mod process;
mod ready;
mod server;

pub use process::ProcessCollector;
pub use ready::{Readiness, Ready};
pub use server::AdminServer;
