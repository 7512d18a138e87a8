//! Analysis: from templates to a run, from a run to a verdict.
//!
//! ```text
//!   Rollout pass ──► Templates::resolve ─► build::arguments ─► build::build_run ─► create_run
//!                                                                                     │
//!   AnalysisRun ─► observe ─► validate ─► plan (pure) ─► launch measurements ◄────────┘
//!        ▲                                   │                   │
//!        └──── status (one merge patch) ◄────┘◄── pending ◄──────┘
//! ```
//!
//! A measurement runs beside the passes. When it ends it is put into a pending and the run is queued; the
//! next pass records it and persists the outcome. What was in flight when the process ended is measured
//! again: the status of the run is the only state.
//!
//! # Contract with the Rollout controller
//!
//! The binary makes one [`AnalysisIndexes`] and gives clones of it to both sides, then calls [`start`] once.
//!
//! - [`AnalysisIndexes::runs`] is the slim index of all AnalysisRuns ([`RunView`]), tagged with the uid of the
//!   owner: `shared.runs.tagged(rollout_uid)` gives the runs of a Rollout. The callback `on_run` of
//!   [`start`] is called for every change, so that the owner can be queued (see [`RunView::owner`]).
//! - [`AnalysisIndexes::templates`] holds the templates: [`Templates::resolve`] follows references (nested ones
//!   too) without a request. `on_template` is called when a template changes.
//! - [`build::arguments`] and [`build::build_run`] are pure and give the object to create; a plan may hold it.
//! - [`create_run`] creates it with upstream's handling of a taken name (`.1`, `.2`, ...), and finds an equal
//!   unfinished run of the same owner instead of making a second one. Put the view it returns into
//!   [`AnalysisIndexes::runs`] by [`AnalysisIndexes::remember`], so that the next pass sees it.
//! - [`terminate_run`] asks a run to end.

mod apply;
pub mod build;
mod build_error;
mod checked_specs;
mod controller;
mod create;
mod field_path;
mod merge;
mod metrics;
mod observe;
mod pending;
pub mod plan;
mod provider;
mod start;
mod status;
mod templates;
pub(crate) mod trial;
mod validate;
mod view;

pub use controller::AnalysisRuns;
pub use create::{CreateError, create_run, terminate_run};
pub(crate) use metrics::PHASES;
pub use provider::{ProviderConfig, prometheus_value};
pub use start::{AnalysisConfig, start};
pub use templates::{TemplateError, Templates};
pub(crate) use validate::lint;
pub(crate) use view::index_meta;
pub use view::{AnalysisIndexes, MetricView, OwnerView, RunView};

#[cfg(test)]
mod tests;
