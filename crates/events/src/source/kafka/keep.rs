//! Keeps how far a source has read.

use serde::{Deserialize, Serialize};

use super::group::{Member, is_rebalance};
use crate::{
    bus::BusError,
    kafka::connection::{Connection, KafkaError},
    source::{checkpoint::Checkpoint, kind::SourceError},
};

/// The record on the bus of a source without a group.
#[derive(Serialize, Deserialize)]
pub(super) struct Position {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) next: i64,
}

/// Why reading ended.
pub(super) enum Ended {
    /// The group divides the partitions again, or there are others.
    Rebalance,
    Failed(SourceError),
}

impl From<SourceError> for Ended {
    fn from(error: SourceError) -> Self {
        Self::Failed(error)
    }
}

impl From<BusError> for Ended {
    fn from(error: BusError) -> Self {
        Self::Failed(error.into())
    }
}

/// What an error of a broker means.
pub(super) fn ended(connection: &Connection, error: &KafkaError) -> Ended {
    if is_rebalance(error) {
        Ended::Rebalance
    } else {
        Ended::Failed(connection.failed(error))
    }
}

/// Where offsets are kept.
pub(super) enum Keeper {
    /// At the coordinator of the group.
    Group {
        coordinator: Connection,
        member: Member,
    },
    /// On the bus.
    Bus {
        checkpoint: Box<Checkpoint>,
        position: Position,
    },
}

impl Keeper {
    pub(super) async fn keep(&mut self, partition: i32, next: i64) -> Result<(), Ended> {
        match self {
            Self::Group {
                coordinator,
                member,
            } => {
                let kept = member.commit(coordinator, &[(partition, next)]).await;
                kept.map_err(|error| ended(coordinator, &error))
            }
            Self::Bus {
                checkpoint,
                position,
            } => {
                position.next = next;
                Ok(checkpoint.save(position).await?)
            }
        }
    }
}
