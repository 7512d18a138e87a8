//! The controller without a cluster: rules as tables, a simulated world, transcripts.

mod cluster;
mod fake_api;
mod hashes;
mod judgement;
mod numbers;
mod offline;
mod refusals;
mod replicas;
mod routers;
mod rules;
mod simulation;
mod traffic;
mod transcripts;
mod verbs;
