//! Why a connection or a request fails.

use std::io;

use thiserror::Error;

use super::proto::Refusal;
use crate::frame_stream::StreamError;

/// The connection does not work.
#[derive(Debug, Error)]
pub(crate) enum PulsarError {
    /// It is broken.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// This is no Pulsar.
    #[error("the answer is not that of a Pulsar broker")]
    Protocol,
    /// Nothing comes back.
    #[error("no answer in time")]
    Silent,
    /// The broker refuses a request, in these words.
    #[error("{}: {message}", code_name(*code))]
    Refused {
        /// The error code of the protocol.
        code: i32,
        /// Words of the broker.
        message: String,
    },
    /// The broker moves the topic, or has deleted it.
    #[error("the broker gave the topic up: it moves to another one, or was deleted")]
    Closed,
    /// Nobody knows whether a message was stored.
    #[error("the connection broke before the broker confirmed the message")]
    Unconfirmed,
}

impl From<StreamError> for PulsarError {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::Io(error) => Self::Io(error),
            StreamError::Silent => Self::Silent,
        }
    }
}

impl PulsarError {
    /// What a broker refuses with this code.
    pub(crate) fn refused(code: Option<i32>, message: Option<String>) -> Self {
        Self::Refused {
            code: code.unwrap_or_default(),
            message: message.unwrap_or_default(),
        }
    }
}

fn code_name(code: i32) -> String {
    let name = match code {
        1 => "MetadataError",
        2 => "PersistenceError",
        3 => "AuthenticationError",
        4 => "AuthorizationError",
        5 => "ConsumerBusy",
        6 => "ServiceNotReady",
        7 | 8 => "ProducerBlockedQuotaExceeded",
        9 => "ChecksumError",
        10 => "UnsupportedVersionError",
        11 => "TopicNotFound",
        12 => "SubscriptionNotFound",
        13 => "ConsumerNotFound",
        14 => "TooManyRequests",
        15 => "TopicTerminatedError",
        16 => "ProducerBusy",
        17 => "InvalidTopicName",
        18 => "IncompatibleSchema",
        22 => "NotAllowedError",
        25 => "ProducerFenced",
        other => return format!("error {other}"),
    };
    name.to_owned()
}

impl From<Refusal> for PulsarError {
    fn from(refusal: Refusal) -> Self {
        Self::refused(Some(refusal.error), Some(refusal.message))
    }
}
