//! The controller without a cluster: rules as tables, a simulated world, transcripts.

mod cluster;
mod hashes;
mod replicas;
mod rules;
mod simulation;
mod transcripts;
