//! The certificate of the port. Callers check it only where their settings ask for it.

use std::sync::Arc;

use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
};
use thiserror::Error;

/// No certificate can be made.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// Making it failed.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// TLS does not take it.
    #[error("cannot use the certificate")]
    Use(#[from] rustls::Error),
}

/// Names that the certificate is for.
const NAMES: &[&str] = &["localhost", "argocd-repo-server", "argo-cd-lite"];

/// TLS with a certificate that is made now and that nobody has signed, as Argo CD has it. HTTP/2 is the only protocol.
pub(super) fn self_signed() -> Result<Arc<ServerConfig>, CertificateError> {
    let names: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}
