//! `kafka`: the records of a topic of Apache Kafka, by a consumer group or of one partition.
//!
//! The offset behind a record is committed after the bus has stored its event; after a restart the source resumes
//! there. The id of an event is made of the partition and the offset, so a record that is read twice is one event.

mod assign;
mod config;
mod consume;
mod fetch;
mod group;
mod keep;
mod publish;

use std::sync::Arc;

use super::kind::SourceKind;

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "kafka",
    check: |input| Ok(Arc::new(config::check(input)?)),
};
