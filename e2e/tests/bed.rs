//! The test bed itself: what it promises to every other test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    missing_docs,
    reason = "tests fail by panicking"
)]

#[path = "bed/current.rs"]
mod current;
#[path = "bed/faults.rs"]
mod faults;
#[path = "bed/lifetime.rs"]
mod lifetime;
#[path = "bed/pods.rs"]
mod pods;
#[path = "bed/services.rs"]
mod services;
#[path = "bed/traffic.rs"]
mod traffic;
