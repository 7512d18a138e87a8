//! Tests of analysis: rules, templates, and whole runs against a scripted metric server.

#![allow(
    clippy::needless_pass_by_value,
    reason = "objects are written where they are used"
)]

mod build;
mod controller;
mod ends;
mod fields;
mod pending;
mod runs;
mod simulation;
mod templates;
mod validate;
