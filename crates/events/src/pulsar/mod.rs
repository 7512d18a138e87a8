//! The protocol of Apache Pulsar, as far as event sources and triggers speak it.
//!
//! The crate `pulsar` brings native-tls and chrono, calls the brokers that a lookup names beside the rule about
//! addresses, and reads frames of any length that a broker announces.

pub(crate) mod cluster;
pub(crate) mod connection;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod lookup;
pub(crate) mod produce;
pub(crate) mod proto;
pub(crate) mod topic;
