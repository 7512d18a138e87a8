//! The protocol of Apache Kafka, as far as event sources and triggers speak it.
//!
//! librdkafka brings C and OpenSSL, and resolves and calls the brokers that a cluster names beside the rule about
//! addresses. The codec `kafka-protocol` reserves as much memory as a broker announces, which ends the process.

pub(crate) mod cluster;
pub(crate) mod connection;
pub(crate) mod produce;
pub(crate) mod records;
pub(crate) mod requests;
mod scram;
pub(crate) mod wire;
