//! Charts that cannot be had.

use reconcile_core::egress::{InvalidRedirect, RefusedAddress};
use thiserror::Error;

use crate::repo::{PoolError, ProxyError, credentials::UnsupportedMembers};

/// Why there is no chart. The text never holds credentials.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ChartError {
    /// The URL is none of a Helm repository or an OCI registry.
    #[error("{0:?} is not the URL of a Helm repository or an OCI registry")]
    Url(String),
    /// The server does not answer.
    #[error("cannot read {host}: {reason}")]
    Unreachable {
        /// Host of the server.
        host: String,
        /// What is wrong.
        reason: String,
    },
    /// The server refuses the credentials, or there are none for it.
    #[error("{host} denies access (HTTP {status}): check the credentials of the repository")]
    Denied {
        /// Host of the server.
        host: String,
        /// HTTP status.
        status: u16,
    },
    /// The server does not have what was asked for, or hides it from this account.
    #[error("repository not found or no access: {host} does not have {what}")]
    NotFound {
        /// Host of the server.
        host: String,
        /// What was asked for.
        what: String,
    },
    /// Another answer than the protocol has.
    #[error("{host} answers {what} with HTTP {status}")]
    Status {
        /// Host of the server.
        host: String,
        /// What was asked for.
        what: String,
        /// HTTP status.
        status: u16,
    },
    /// The Secret names no usable proxy.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// An address that is not called.
    #[error(transparent)]
    Address(#[from] RefusedAddress),
    /// A redirect that is not followed.
    #[error(transparent)]
    Redirect(#[from] InvalidRedirect),
    /// More than is taken.
    #[error("{what}: more than the limit of {limit}")]
    Exceeds {
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// The index or the manifest is not what it should be.
    #[error("{what} cannot be read: {reason}")]
    Malformed {
        /// What is malformed.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// The repository does not have the chart.
    #[error("the repository does not have the chart {0:?}")]
    NoChart(String),
    /// The chart does not have the version.
    #[error("the chart {chart:?} has no version that matches {version:?}")]
    NoVersion {
        /// The chart.
        chart: String,
        /// The version or constraint.
        version: String,
    },
    /// The content is not what its digest promises.
    #[error("{what} has the digest {found}, not {expected}")]
    Digest {
        /// What was read.
        what: String,
        /// The digest of what was read.
        found: String,
        /// The digest that was promised.
        expected: String,
    },
    /// The archive holds what no chart needs.
    #[error("the archive is refused: {0}")]
    Archive(String),
    /// The client certificate or the certificates of the server's authority cannot be used.
    #[error("cannot use the certificates of the repository: {0}")]
    Certificate(String),
    /// The credentials have members that are not supported.
    #[error(transparent)]
    Credentials(#[from] UnsupportedMembers),
    /// The disk refuses.
    #[error("cannot keep the chart on disk: {0}")]
    Disk(String),
    /// No thread gave a result.
    #[error("reading the chart: {0}")]
    Pool(#[from] PoolError),
}

impl ChartError {
    /// True when trying again later may help without any change of the Application.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Disk(_) | Self::Pool(_) | Self::NotFound { .. } => {
                true
            }
            Self::Status { status, .. } => *status == 429 || *status >= 500,
            _ => false,
        }
    }
}
