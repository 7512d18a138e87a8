//! Tests of analysis: rules, templates, and whole runs against a scripted metric server.

mod build;
mod fields;
mod mailbox;
mod runs;
mod simulation;
mod templates;
mod validate;
