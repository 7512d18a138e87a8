//! Why a listener does not open.

use std::io;

use reconcile_core::listen::BindError;
use thiserror::Error;

use super::certificate::CertificateError;

/// A port that cannot be opened, or not with these routes.
#[derive(Debug, Error)]
pub(super) enum OpenError {
    /// There is no port for the target of a Service.
    #[error("cannot open a port for its Service: {0}")]
    Target(#[source] io::Error),
    /// The port cannot be bound.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The address of the port is not known.
    #[error(transparent)]
    Address(#[from] io::Error),
    /// The certificate of the endpoints cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The namespace has as many ports as are left for all others.
    #[error(
        "namespace {namespace} has as many ports open as are left for all others ({free} of {most}); let its endpoints \
         share ports"
    )]
    Share {
        /// The namespace.
        namespace: String,
        /// Ports that nobody has.
        free: usize,
        /// All ports.
        most: usize,
    },
    /// An EventSource of the namespace uses the port with another certificate.
    #[error("another EventSource uses it with another certificate or without")]
    OtherCertificate,
    /// An EventSource of the namespace serves the route already.
    #[error("{method} {path} is served for EventSource {holder}")]
    Route {
        /// Method of the route.
        method: String,
        /// Path of the route.
        path: String,
        /// Name of the EventSource.
        holder: String,
    },
    /// The port was closed while it was opened, which is a bug.
    #[error("the port was closed meanwhile")]
    Closed,
}
