//! Servers for the tests of those who use this crate.

mod ssh;

pub use ssh::SshServer;
