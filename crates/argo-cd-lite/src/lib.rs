//! Syncs a cluster with Git: `Application` and `AppProject` of `argoproj.io/v1alpha1`.
//!
//! ```text
//!  repo      poll / webhook ─► refs ─► commit ─► tree id ─► files ─┐
//!  render                                                          ├─► targets ─┐
//!  clusters  watches of the kinds in use ─► small live values ─────┘            ├─► diff ─► sync status
//!  health                                   health of each ◄────────────────────┘        │
//!  sync      phases ─► waves ─► hooks ─► prunes: one step per pass ◄─────────────────────┘
//!  app       the controller that joins them: observe ─► plan ─► apply ─► report
//! ```
//!
//! Watches: Applications, `AppProject`s, repository Secrets, and every kind that an Application holds.
//! Writes: those objects by server-side apply as `argocd-controller`, and the Applications' status by
//! merge patches (the kind has no status subresource).
//!
//! - [`api`] the kinds, with upstream's fields; [`api::fields`] what is supported of them
//! - [`args`], [`controller`] from command line to running controller; [`cli`] the verbs without a cluster
//! - [`repo`], [`render`] Git and manifests
//! - [`clusters`], [`diff`], [`health`] the live side
//! - [`actions`] what a person can do with single objects
//! - [`sync`] the engine, pure; [`app`] the controller
//! - [`applicationset`] not served yet; a condition on each ApplicationSet says so
//! - [`project`] what a project allows
//! - [`settings`] what is read of `argocd-cm`
//! - [`repo_server`] renders and files for Argo CD's own components
//! - [`redis`] what Argo CD's own server reads of a cache
//! - [`tls`] certificates of the ports for Argo CD's own components
//! - [`server`] the webhook; [`metrics`] counters

pub mod actions;
pub mod api;
pub mod app;
pub mod applicationset;
pub mod args;
pub mod cli;
pub mod clusters;
pub mod controller;
pub mod diff;
pub mod health;
pub mod metrics;
pub mod project;
pub mod redis;
pub mod render;
pub mod repo;
pub mod repo_server;
pub mod server;
pub mod settings;
pub mod sync;
pub mod tls;
