//! The controller without a cluster: rules as tables, a simulated world, transcripts.

mod alb;
mod cleanup;
mod cluster;
mod deadline;
mod examples;
mod experiment_weights;
mod experiments;
mod fake_api;
mod flags;
mod hashes;
mod istio;
mod judgement;
mod mesh_routers;
mod numbers;
mod offline;
mod pods;
mod refusals;
mod replicas;
mod routers;
mod rules;
mod simulation;
mod steps_api;
mod traffic;
mod transcripts;
mod verbs;
mod workloads;
