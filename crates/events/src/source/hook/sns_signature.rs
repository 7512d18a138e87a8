//! Signatures of SNS messages.

use reqwest::Url;
use ring::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use rustls::pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
    pem::PemObject,
};
use serde::Deserialize;
use webpki::EndEntityCert;

use base64::{Engine, prelude::BASE64_STANDARD};

/// A message as SNS sends it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Message {
    #[serde(rename = "Type")]
    pub(super) type_: String,
    #[serde(rename = "MessageId")]
    pub(super) id: String,
    pub(super) token: String,
    pub(super) topic_arn: String,
    pub(super) subject: Option<String>,
    #[serde(rename = "Message")]
    pub(super) text: String,
    #[serde(rename = "SubscribeURL")]
    pub(super) subscribe_url: String,
    pub(super) timestamp: String,
    pub(super) signature_version: String,
    pub(super) signature: String,
    #[serde(rename = "SigningCertURL")]
    pub(super) signing_cert_url: String,
}

/// The URL of a certificate, when it is one of SNS.
pub fn certificate_url(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str()?;
    let host = host.strip_suffix(".cn").unwrap_or(host);
    let region = host.strip_prefix("sns.")?.strip_suffix(".amazonaws.com")?;
    let is_region = region.len() >= 3
        && region
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_plain = url.port().is_none() && url.username().is_empty() && url.password().is_none();
    (url.scheme() == "https" && is_region && is_plain && is_pem(&url)).then_some(url)
}

fn is_pem(url: &Url) -> bool {
    let extension = url.path().rsplit_once('.').map(|(_, extension)| extension);
    extension == Some("pem")
}

impl Message {
    /// Whether the owner of the certificate, PEM, has signed it.
    pub fn is_signed_with(&self, pem: &[u8]) -> bool {
        let algorithm: &dyn SignatureVerificationAlgorithm = match self.signature_version.as_str() {
            "1" => &RsaSha1,
            "2" => webpki::ring::RSA_PKCS1_2048_8192_SHA256,
            _ => return false,
        };
        let (Ok(certificate), Ok(signature)) = (
            CertificateDer::from_pem_slice(pem),
            BASE64_STANDARD.decode(&self.signature),
        ) else {
            return false;
        };
        let Ok(certificate) = EndEntityCert::try_from(&certificate) else {
            return false;
        };
        let text = self.signed_text();
        certificate
            .verify_signature(algorithm, text.as_bytes(), &signature)
            .is_ok()
    }

    /// Names and values of what is signed, each on a line.
    fn signed_text(&self) -> String {
        let notification = self.type_ == "Notification";
        let only = |wanted: bool, value| Some(value).filter(|_| wanted);
        let fields = [
            ("Message", Some(self.text.as_str())),
            ("MessageId", Some(self.id.as_str())),
            ("Subject", self.subject.as_deref().filter(|_| notification)),
            (
                "SubscribeURL",
                only(!notification, self.subscribe_url.as_str()),
            ),
            ("Timestamp", Some(self.timestamp.as_str())),
            ("Token", only(!notification, self.token.as_str())),
            ("TopicArn", Some(self.topic_arn.as_str())),
            ("Type", Some(self.type_.as_str())),
        ];
        let lines = fields
            .iter()
            .filter_map(|(name, value)| Some(format!("{name}\n{}\n", (*value)?)));
        lines.collect()
    }
}

/// `SignatureVersion` 1, which topics have unless they ask for 2.
#[derive(Debug)]
struct RsaSha1;

impl SignatureVerificationAlgorithm for RsaSha1 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, public_key)
            .verify(message, signature)
            .map_err(|_| InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        // Only compared where certificates are verified, which this algorithm never is used for.
        alg_id::RSA_PKCS1_SHA256
    }
}
