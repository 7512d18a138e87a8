//! The repo-server protocol of Argo CD: gRPC, as its API server, command line and ApplicationSet controller speak it.
//!
//! ```text
//!   connection ─► TLS ─► HTTP/2 ─► permit ─► method ─► reach ─► Git stores, charts, renderers of the controller
//!                                                        └─► other credentials than ours: stores for this call only
//! ```
//!
//! The protocol has no logins. Whoever reaches the port acts with the credentials that the call brings; those of the
//! controller serve only calls that bring the same ones.

mod charts;
mod details;
mod directories;
mod error;
mod manifests;
pub mod messages;
mod methods;
mod reach;
mod revisions;
mod server;
mod service;
mod uploads;

pub use server::{BoundRepoServer, RepoServer, RepoServerSettings};

#[cfg(test)]
pub(crate) mod tests;
