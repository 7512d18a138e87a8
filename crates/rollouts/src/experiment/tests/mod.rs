//! Tests of the Experiment controller.

mod fake_api;
mod refusals;
mod rules;
mod simulation;
mod world;
