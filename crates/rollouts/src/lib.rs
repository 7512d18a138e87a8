//! Progressive delivery for Kubernetes: `Rollout`, `AnalysisTemplate`, `ClusterAnalysisTemplate`,
//! `AnalysisRun` and `Experiment` of `argoproj.io/v1alpha1`.
//!
//! ```text
//!   Rollout ─┐                      ┌─► ReplicaSets (create, scale, delete)
//!   ReplicaSets ─┤  observe ► plan ► apply ─► Services (selector)
//!   Services ────┤                      ├─► AnalysisRuns (create, terminate, delete)
//!   AnalysisRuns ┘                      └─► Rollout status, revision annotation, Events
//! ```
//!
//! - [`api`]: the kinds as Rust types, and which of their fields are supported.
//! - [`rollout`]: the controller of Rollouts; its `plan` is a pure function.
//! - [`analysis`]: the controller of AnalysisRuns and the building of runs from templates.
//! - [`experiment`]: the controller of Experiments.
//! - [`args`], [`controller`]: the command line and the process.
//! - [`offline`]: what works on files: `plan`, `lint`, `simulate`, and `analyze` against real providers.

pub mod analysis;
pub mod api;
pub mod args;
mod aws;
mod client_metrics;
pub mod controller;
pub mod experiment;
#[cfg(test)]
mod fake_cluster;
mod instance;
pub mod offline;
mod pass_metrics;
pub mod rollout;
