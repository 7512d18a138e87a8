//! Tests of the Experiment controller.

mod cluster;
mod fake_api;
mod refusals;
mod rules;
mod simulation;
