//! The certificate of a listener.

use std::sync::Arc;

use reconcile_core::secret::Secret;
use rustls::{
    ServerConfig,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
};
use thiserror::Error;

/// A certificate or a key that no listener can use.
#[derive(Debug, Error)]
pub(super) enum CertificateError {
    /// The chain is no PEM.
    #[error("serverCertSecret: {0}")]
    Chain(#[source] pem::Error),
    /// The key is no PEM.
    #[error("serverKeySecret: {0}")]
    Key(#[source] pem::Error),
    /// The chain and the key do not fit, or are of a kind that TLS does not accept.
    #[error("serverCertSecret: {0}")]
    Refused(#[from] rustls::Error),
}

/// Certificate chain and key of a listener, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCertificate {
    /// The chain.
    pub chain: String,
    /// The key.
    pub key: Secret,
}

impl ServerCertificate {
    /// Makes it usable; the error names the field that is wrong.
    pub(super) fn config(&self) -> Result<Arc<ServerConfig>, CertificateError> {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(CertificateError::Chain)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes())
            .map_err(CertificateError::Key)?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Arc::new(config))
    }
}
