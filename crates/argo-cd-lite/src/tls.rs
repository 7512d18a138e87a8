//! TLS of the ports for Argo CD's own server: a certificate from files, which may change, or one that is made at the
//! start; and certificates that clients must have.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use reconcile_core::listen::{BindError, TlsMode};
use rustls::{
    RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject},
    server::{VerifierBuilderError, WebPkiClientVerifier},
};
use thiserror::Error;

/// Names that a certificate of our own is for.
const NAMES: &[&str] = &[
    "localhost",
    "argocd-redis",
    "argocd-repo-server",
    "argo-cd-lite",
];
/// Bytes of a file.
const MAX_FILE: u64 = 1 << 20;
/// Time between two looks at the files.
const INTERVAL: Duration = Duration::from_secs(30);

/// The port cannot be served.
#[derive(Debug, Error)]
pub enum ServeError {
    /// It cannot be opened.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// It has no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// There is no usable certificate. The texts hold no keys.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// Making one failed.
    #[error("cannot make a certificate")]
    Make(#[from] rcgen::Error),
    /// TLS does not take it.
    #[error("cannot use the certificate")]
    Use(#[from] rustls::Error),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        error: io::Error,
    },
    /// A file holds something else.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// The certificates of those who sign for clients.
    #[error("cannot use the certificates that sign those of clients")]
    Clients(#[from] VerifierBuilderError),
}

/// How a port speaks TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Not at all.
    #[default]
    Off,
    /// With these files.
    On(TlsFiles),
}

/// Files for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Folder with `tls.crt` and `tls.key`; without it a certificate is made that nobody has signed.
    pub folder: Option<PathBuf>,
    /// Certificates of those who sign for clients. A client without such a certificate does not get in.
    pub client_ca: Option<PathBuf>,
}

/// TLS of an open port.
pub(crate) struct LiveTls {
    /// What connections are accepted with.
    pub(crate) mode: TlsMode,
    tls: Tls,
    protocols: Vec<Vec<u8>>,
    loaded: Option<Contents>,
}

/// Contents of the files.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    /// Certificates and key.
    own: Option<(Vec<u8>, Vec<u8>)>,
    client_ca: Option<Vec<u8>>,
}

impl Tls {
    /// Reads the files. `protocols` are those that are spoken above TLS.
    pub(crate) fn open(self, protocols: &[&[u8]]) -> Result<LiveTls, CertificateError> {
        let mut live = LiveTls {
            mode: TlsMode::plain(),
            tls: self,
            protocols: protocols.iter().map(|protocol| protocol.to_vec()).collect(),
            loaded: None,
        };
        live.load()?;
        Ok(live)
    }
}

impl LiveTls {
    /// Takes the files as they are now; false when they are as before. They are few and small.
    pub(crate) fn load(&mut self) -> Result<bool, CertificateError> {
        let Tls::On(files) = &self.tls else {
            return Ok(false);
        };
        let contents = Contents::read(files)?;
        if self.loaded.as_ref() == Some(&contents) {
            return Ok(false);
        }
        let config = contents.config(files, &self.protocols)?;
        self.mode.set(Some(Arc::new(config)));
        self.loaded = Some(contents);
        Ok(true)
    }

    /// Takes new files when they change; it never returns. A file that cannot be used leaves the old ones.
    pub(crate) async fn follow(mut self) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            match self.load() {
                Ok(true) => tracing::info!("TLS certificates were read again"),
                Ok(false) => {}
                Err(error) => {
                    let error = reconcile_core::error::error_chain(&error);
                    tracing::warn!(%error, "TLS certificates stay as they were");
                }
            }
        }
    }
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, CertificateError> {
        let own = files.folder.as_ref().map(|folder| {
            let certificate = read(&folder.join("tls.crt"))?;
            Ok::<_, CertificateError>((certificate, read(&folder.join("tls.key"))?))
        });
        let client_ca = files.client_ca.as_deref().map(read).transpose()?;
        Ok(Self {
            own: own.transpose()?,
            client_ca,
        })
    }

    fn config(
        &self,
        files: &TlsFiles,
        protocols: &[Vec<u8>],
    ) -> Result<ServerConfig, CertificateError> {
        let (chain, key) = match &self.own {
            Some((certificate, key)) => {
                let folder = files.folder.clone().unwrap_or_default();
                let path = folder.join("tls.key");
                let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| {
                    let reason = "it is no private key in PEM form";
                    CertificateError::Content { path, reason }
                })?;
                (certificates(&folder.join("tls.crt"), certificate)?, key)
            }
            None => self_made()?,
        };
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()?;
        let builder = match (&self.client_ca, &files.client_ca) {
            (Some(text), Some(path)) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates(path, text)? {
                    roots.add(certificate)?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build()?)
            }
            _ => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key)?;
        config.alpn_protocols = protocols.to_vec();
        Ok(config)
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    let failed = |error| CertificateError::Read {
        path: path.to_owned(),
        error,
    };
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    io::Read::read_to_end(&mut io::Read::take(file, MAX_FILE), &mut content).map_err(failed)?;
    Ok(content)
}

fn certificates(
    path: &Path,
    text: &[u8],
) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found = CertificateDer::pem_slice_iter(text).collect::<Result<Vec<_>, _>>();
    let wrong = || CertificateError::Content {
        path: path.to_owned(),
        reason: "it holds no certificates in PEM form",
    };
    found
        .ok()
        .filter(|found| !found.is_empty())
        .ok_or_else(wrong)
}

/// A certificate that is made now and that nobody has signed, as Argo CD has it.
fn self_made() -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), CertificateError> {
    let names: Vec<String> = NAMES.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names)?;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    Ok((vec![made.cert.der().clone()], PrivateKeyDer::Pkcs8(key)))
}
