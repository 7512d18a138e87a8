//! The certificates of one bed: an authority of its own, the API server's certificate, the administrator's, and the
//! key that signs service account tokens. All in the bed's folder, valid as long as the bed lives.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use serde_json::json;

/// Paths of the files, and the administrator's kubeconfig.
#[derive(Debug, Clone)]
pub(crate) struct Certificates {
    pub(crate) ca: PathBuf,
    pub(crate) server_cert: PathBuf,
    pub(crate) server_key: PathBuf,
    pub(crate) service_account_key: PathBuf,
    pub(crate) service_account_public: PathBuf,
    pub(crate) kubeconfig: PathBuf,
}

impl Certificates {
    /// Writes everything into `dir/pki` and `dir/kubeconfig`.
    pub(crate) fn create(dir: &Path, server: &str) -> Result<Self> {
        let pki = dir.join("pki");
        std::fs::create_dir_all(&pki)?;
        let ca_key = KeyPair::generate()?;
        let mut ca = CertificateParams::new(Vec::new())?;
        ca.distinguished_name.push(DnType::CommonName, "bed");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let ca_pem = ca.self_signed(&ca_key)?.pem();
        let issuer = Issuer::new(ca, ca_key);

        let names = [
            "localhost",
            "127.0.0.1",
            "10.96.0.1",
            "kubernetes",
            "kubernetes.default",
            "kubernetes.default.svc",
        ];
        let mut params = CertificateParams::new(names.map(str::to_owned).to_vec())?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let server_cert = params.signed_by(&server_key, &issuer)?.pem();

        let mut params = CertificateParams::new(Vec::new())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "bed-admin");
        params
            .distinguished_name
            .push(DnType::OrganizationName, "system:masters");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let admin_key = KeyPair::generate()?;
        let admin_cert = params.signed_by(&admin_key, &issuer)?.pem();

        let write = |name: &str, text: &str| -> Result<PathBuf> {
            let path = pki.join(name);
            std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
            Ok(path)
        };
        let user = json!({
            "client-certificate-data": STANDARD.encode(admin_cert),
            "client-key-data": STANDARD.encode(admin_key.serialize_pem()),
        });
        let kubeconfig = dir.join("kubeconfig");
        std::fs::write(
            &kubeconfig,
            kubeconfig_text(server, &ca_pem, "bed-admin", &user)?,
        )?;
        let signer = KeyPair::generate()?;
        Ok(Self {
            ca: write("ca.crt", &ca_pem)?,
            server_cert: write("apiserver.crt", &server_cert)?,
            server_key: write("apiserver.key", &server_key.serialize_pem())?,
            service_account_key: write("sa.key", &signer.serialize_pem())?,
            service_account_public: write("sa.pub", &signer.public_key_pem())?,
            kubeconfig,
        })
    }
}

/// A kubeconfig with one context named `bed`; `user` is its `user` entry. JSON is YAML.
pub(crate) fn kubeconfig_text(
    server: &str,
    ca_pem: &str,
    user_name: &str,
    user: &serde_json::Value,
) -> Result<String> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "bed",
        "clusters": [{"name": "bed", "cluster": {
            "server": server,
            "certificate-authority-data": STANDARD.encode(ca_pem),
        }}],
        "users": [{"name": user_name, "user": user}],
        "contexts": [{"name": "bed", "context": {"cluster": "bed", "user": user_name}}],
    });
    Ok(serde_json::to_string_pretty(&config)?)
}
