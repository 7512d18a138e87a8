//! How a Git server is reached: certificates, and a proxy.

use reqwest::{Certificate, Identity, Proxy, blocking::ClientBuilder};
use secrecy::ExposeSecret;

use crate::{FetchError, Login, Names};

/// Whom to believe, who we are, and which way to go.
#[derive(Clone, Default)]
pub struct ConnectionSettings {
    /// The only authorities of the server, instead of those of the system.
    authorities: Option<Vec<Certificate>>,
    /// Our own certificate with its key.
    identity: Option<Identity>,
    /// Instead of those of the environment.
    pub(crate) proxy: Option<Proxy>,
}

impl ConnectionSettings {
    /// Reads the PEM texts of a login; errors do not quote them.
    pub fn of(login: Option<&Login>, names: &Names) -> Result<Self, FetchError> {
        let Some(login) = login else {
            return Ok(Self::default());
        };
        let authorities = login.authority.as_deref().map(|pem| {
            let wrong = format!("{} has no PEM certificates for the server", names.authority);
            Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| FetchError::Remote(wrong))
        });
        let identity = login.client_certificate.as_ref().map(|pem| {
            let wrong = format!(
                "{} are no PEM certificate with its key",
                names.client_certificate
            );
            Identity::from_pem(pem.expose_secret().as_bytes())
                .map_err(|_| FetchError::Remote(wrong))
        });
        Ok(Self {
            authorities: authorities.transpose()?,
            identity: identity.transpose()?,
            proxy: login.proxy.clone(),
        })
    }

    /// A client with these certificates.
    pub(crate) fn configure(&self, mut builder: ClientBuilder) -> ClientBuilder {
        if let Some(authorities) = &self.authorities {
            builder = builder.tls_certs_only(authorities.clone());
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        builder
    }
}
