//! The certificate of a listener.

use std::sync::Arc;

use reconcile_core::secret::Secret;
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};

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
    pub(super) fn config(&self) -> Result<Arc<ServerConfig>, String> {
        let chain = CertificateDer::pem_slice_iter(self.chain.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| format!("serverCertSecret: {error}"))?;
        let key = PrivateKeyDer::from_pem_slice(self.key.expose().as_bytes())
            .map_err(|error| format!("serverKeySecret: {error}"))?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .map_err(|error| format!("serverCertSecret: {error}"))?;
        Ok(Arc::new(config))
    }
}
