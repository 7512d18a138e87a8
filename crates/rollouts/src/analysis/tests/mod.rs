//! Tests of analysis: rules, templates, and whole runs against a scripted metric server.

mod build;
mod controller;
mod fields;
mod mailbox;
mod runs;
mod simulation;
mod templates;
mod validate;
