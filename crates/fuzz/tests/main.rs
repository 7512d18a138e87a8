//! The targets, one file each; `cargo test -p fuzz NAME` runs one.

mod targets;
