//! TLS of outgoing connections: to the bus, and of http triggers.
//!
//! A certificate in `caCertSecret` is trusted as it is, as Go does: it may be an authority, or the
//! certificate of the server itself, also when that one is marked as an authority.

use std::sync::Arc;

use reconcile_core::secret::Secret;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_name,
    },
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    server::ParsedCertificate,
};
use thiserror::Error;

/// TLS settings of a client, as PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Certificates to trust; those of the system when absent.
    pub ca: Option<String>,
    /// Certificate and key of the client.
    pub client: Option<ClientCertificate>,
    /// Accept any certificate of the server.
    pub insecure: bool,
}

/// Certificate and key of a client, PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The chain.
    pub chain: String,
    /// The key.
    pub key: Secret,
}

/// Certificates or keys that cannot be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A field of the manifest names text that is no certificate or key.
    #[error("{field}: {reason}")]
    Field {
        /// The field below `tls`.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A client certificate was given without certificates to trust.
    #[error("caCertSecret: must be set beside clientCertSecret and clientKeySecret")]
    NoAuthority,
}

impl TlsError {
    fn field(field: &'static str, error: impl std::fmt::Display) -> Self {
        Self::Field {
            field,
            reason: error.to_string(),
        }
    }
}

impl TlsSettings {
    /// The rustls configuration; `None` when the defaults with the system's certificates are right.
    pub fn client_config(&self) -> Result<Option<ClientConfig>, TlsError> {
        let verifier: Arc<dyn ServerCertVerifier> = match (&self.ca, &self.client) {
            _ if self.insecure => Arc::new(AnyCertificate),
            (Some(ca), _) => Arc::new(Pinned::new(ca)?),
            (None, Some(_)) => return Err(TlsError::NoAuthority),
            (None, None) => return Ok(None),
        };
        let builder = ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let Some(client) = &self.client else {
            return Ok(Some(builder.with_no_client_auth()));
        };
        let chain = certificates("clientCertSecret", &client.chain)?;
        let key = PrivateKeyDer::from_pem_slice(client.key.expose().as_bytes())
            .map_err(|error| TlsError::field("clientKeySecret", error))?;
        builder
            .with_client_auth_cert(chain, key)
            .map(Some)
            .map_err(|error| TlsError::field("clientCertSecret", error))
    }
}

fn certificates(field: &'static str, pem: &str) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes())
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| TlsError::field(field, error))?;
    if all.is_empty() {
        return Err(TlsError::field(field, "holds no certificate in PEM"));
    }
    Ok(all)
}

/// Trusts chains that end in one of the given certificates, and these certificates themselves.
#[derive(Debug)]
struct Pinned {
    chains: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl Pinned {
    fn new(pem: &str) -> Result<Self, TlsError> {
        let certificates = certificates("caCertSecret", pem)?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots
                .add(certificate.clone())
                .map_err(|error| TlsError::field("caCertSecret", error))?;
        }
        let chains = WebPkiServerVerifier::builder(Arc::new(roots))
            .build()
            .map_err(|error| TlsError::field("caCertSecret", error))?;
        Ok(Self {
            chains,
            certificates,
        })
    }
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match self
            .chains
            .verify_server_cert(end_entity, intermediates, name, ocsp, now)
        {
            // rustls never accepts an authority as the certificate of a server; Go does when it is pinned.
            Err(Error::InvalidCertificate(
                CertificateError::Other(_)
                | CertificateError::UnknownIssuer
                | CertificateError::InvalidPurpose,
            )) if self.certificates.contains(end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            outcome => outcome,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chains
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// Accepts any certificate: `insecureSkipVerify`.
#[derive(Debug)]
struct AnyCertificate;

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use reconcile_core::operator::install_tls;

    use super::*;

    /// A certificate for `localhost` that is marked as an authority, as `openssl req -x509` makes it.
    fn authority() -> (String, CertificateDer<'static>) {
        let key = rcgen::KeyPair::generate().expect("a key");
        let mut params =
            rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).expect("a certificate");
        (certificate.pem(), certificate.der().clone())
    }

    fn verify(pem: &str, shown: &CertificateDer<'_>, name: &str) -> Result<(), Error> {
        install_tls();
        let name = ServerName::try_from(name.to_owned()).expect("a name");
        Pinned::new(pem)
            .expect("usable")
            .verify_server_cert(shown, &[], &name, &[], UnixTime::now())
            .map(drop)
    }

    #[test]
    fn a_pinned_authority_is_accepted_as_the_certificate_of_a_server_for_its_names_only() {
        let (pem, der) = authority();
        verify(&pem, &der, "localhost").expect("pinned");
        verify(&pem, &der, "elsewhere").expect_err("another name");
        let (_, other) = authority();
        verify(&pem, &other, "localhost").expect_err("not the pinned one");
    }

    #[test]
    fn an_error_names_the_field() {
        install_tls();
        let settings = TlsSettings {
            ca: Some("nonsense".into()),
            ..TlsSettings::default()
        };
        let error = settings.client_config().expect_err("no certificate");
        assert_eq!(
            error.to_string(),
            "caCertSecret: holds no certificate in PEM"
        );
    }
}
