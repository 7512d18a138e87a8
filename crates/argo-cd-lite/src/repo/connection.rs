//! How a Git server is reached: certificates, and a proxy.

use reqwest::{Certificate, Identity, Proxy, blocking::ClientBuilder};
use secrecy::ExposeSecret;

use super::{Credential, GitError};

/// Whom to believe, who we are, and which way to go.
#[derive(Clone, Default)]
pub(super) struct ConnectionSettings {
    /// The only authorities of the server, instead of those of the system.
    authorities: Option<Vec<Certificate>>,
    /// Our own certificate with its key.
    identity: Option<Identity>,
    /// Instead of those of the environment.
    pub(super) proxy: Option<Proxy>,
}

impl ConnectionSettings {
    /// Reads the PEM texts of a credential; errors do not quote them.
    pub(super) fn of(credential: Option<&Credential>) -> Result<Self, GitError> {
        let Some(credential) = credential else {
            return Ok(Self::default());
        };
        let authorities = credential.authority.as_deref().map(|pem| {
            Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| {
                GitError::Remote(
                    "the ConfigMap argocd-tls-certs-cm has no PEM certificates for the server"
                        .to_owned(),
                )
            })
        });
        let identity = credential.client_certificate.as_ref().map(|pem| {
            Identity::from_pem(pem.expose_secret().as_bytes()).map_err(|_| {
                GitError::Remote(
                    "tlsClientCertData and tlsClientCertKey of the repository Secret are no PEM certificate with its key"
                        .to_owned(),
                )
            })
        });
        Ok(Self {
            authorities: authorities.transpose()?,
            identity: identity.transpose()?,
            proxy: credential
                .proxy()
                .map_err(|error| GitError::Remote(error.to_string()))?,
        })
    }

    /// A client with these certificates.
    pub(super) fn configure(&self, mut builder: ClientBuilder) -> ClientBuilder {
        if let Some(authorities) = &self.authorities {
            builder = builder.tls_certs_only(authorities.clone());
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        builder
    }
}
