//! The credentials of a bus that the controller deploys: users, the key of stored messages, certificates.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::distr::{Alphanumeric, SampleString as _};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use serde_json::{Value, json};

use super::{Live, Names, server::EncryptionKey};

/// Key of the clients' Secret: YAML with user and password.
pub const CLIENT_AUTH: &str = "client-auth";
/// Key of both Secrets: the certificate authority of the servers.
pub const AUTHORITY: &str = "ca-cert";
/// Key of the servers' Secret: what encrypts stored messages.
pub const ENCRYPTION: &str = "encryption";
/// Key of the servers' Secret: the users.
pub const AUTH: &str = "auth";
/// Key of the servers' Secret: the private key of their certificate.
pub const KEY: &str = "private-key";
/// Key of the servers' Secret: their certificate for clients.
pub const CERTIFICATE: &str = "cert";
/// Key of the servers' Secret: the private key of the certificate of routes.
pub const CLUSTER_KEY: &str = "cluster-private-key";
/// Key of the servers' Secret: their certificate for routes.
pub const CLUSTER_CERTIFICATE: &str = "cluster-cert";
/// Key of the servers' Secret: the certificate authority of routes.
pub const CLUSTER_AUTHORITY: &str = "cluster-ca-cert";
/// All keys of the servers' Secret.
pub const SERVER_KEYS: [&str; 8] = [
    AUTH,
    ENCRYPTION,
    KEY,
    CERTIFICATE,
    AUTHORITY,
    CLUSTER_KEY,
    CLUSTER_CERTIFICATE,
    CLUSTER_AUTHORITY,
];
/// Annotation of the servers' Secret: stored messages are encrypted with its key, not as upstream's servers do it.
pub const ENCRYPTS: &str = "events.argoproj.io/encrypts-with-secret";

const YEARS: i16 = 10;
const ORGANIZATION: &str = "io.argoproj";

/// Where the Secrets of a bus are, and whose they are.
pub struct Place<'p> {
    /// Names of the objects.
    pub names: &'p Names,
    /// Their namespace.
    pub namespace: &'p str,
    /// The reference to the EventBus.
    pub owner: &'p Value,
}

/// The Secrets of servers and clients.
pub struct Generated {
    /// What the servers read.
    pub server: Value,
    /// What clients read.
    pub client: Value,
}

impl Place<'_> {
    /// As [`Place::generate`], with the key that encrypts what is stored already.
    pub fn generate_again(&self, year: i16, live: &Live) -> Result<Generated, rcgen::Error> {
        let mut generated = self.generate(year)?;
        if let Some(key) = &live.key {
            generated.server["data"][ENCRYPTION] = json!(key.expose());
            if live.encryption == EncryptionKey::Upstream {
                generated.server["metadata"]["annotations"] = json!({});
            }
        }
        Ok(generated)
    }

    /// Makes new credentials; certificates are valid for ten years from `year` on.
    pub fn generate(&self, year: i16) -> Result<Generated, rcgen::Error> {
        let host = format!("{}.{}.svc", self.names.service(), self.namespace);
        let below = |host: &str| [host.to_owned(), format!("{host}.cluster.local")];
        let clients = certificate(&below(&host), year)?;
        let routes = certificate(&below(&format!("*.{host}")), year)?;
        let (user, password) = (random(8), random(32));
        let users = format!(
            "accounts {{\n  js {{\n    jetstream: enabled\n    users: [{{user: \"{user}\", password: \"{password}\"}}]\n  }}\n  sys {{\n    users: [{{user: \"sys\", password: \"{}\"}}]\n  }}\n}}\nsystem_account: sys\n",
            random(32)
        );
        let server = BTreeMap::from([
            (AUTH, users),
            (ENCRYPTION, random(32)),
            (KEY, clients.key),
            (CERTIFICATE, clients.chain),
            (AUTHORITY, clients.authority.clone()),
            (CLUSTER_KEY, routes.key),
            (CLUSTER_CERTIFICATE, routes.chain),
            (CLUSTER_AUTHORITY, routes.authority),
        ]);
        let mut server = self.secret(&self.names.server_secret(), &server);
        server["metadata"]["annotations"] = json!({ ENCRYPTS: "true" });
        let client = BTreeMap::from([
            (
                CLIENT_AUTH,
                format!("username: {user}\npassword: {password}\n"),
            ),
            (AUTHORITY, clients.authority),
        ]);
        let client = self.secret(&self.names.client_secret(), &client);
        Ok(Generated { server, client })
    }

    fn secret(&self, name: &str, values: &BTreeMap<&str, String>) -> Value {
        let data: BTreeMap<&str, String> = values
            .iter()
            .map(|(key, value)| (*key, STANDARD.encode(value)))
            .collect();
        json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": self.namespace,
                "labels": BTreeMap::from(self.names.labels()),
                "ownerReferences": [self.owner],
            },
            "type": "Opaque",
            "data": data,
        })
    }
}

/// Letters and digits that begin with a letter: the server reads variables as it reads its configuration, where a
/// leading digit may begin a number.
fn random(length: usize) -> String {
    let mut text = Alphanumeric.sample_string(&mut rand::rng(), length);
    text.insert(0, 'k');
    text
}

struct Certificate {
    key: String,
    chain: String,
    authority: String,
}

fn certificate(hosts: &[String], year: i16) -> Result<Certificate, rcgen::Error> {
    let params = |hosts: Vec<String>| -> Result<CertificateParams, rcgen::Error> {
        let mut params = CertificateParams::new(hosts)?;
        params.not_before = date_time_ymd(i32::from(year) - 1, 1, 1);
        params.not_after = date_time_ymd(i32::from(year + YEARS), 12, 31);
        params
            .distinguished_name
            .push(DnType::OrganizationName, ORGANIZATION);
        Ok(params)
    };
    let mut authority = params(Vec::new())?;
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = KeyPair::generate()?;
    let authority_pem = authority.self_signed(&authority_key)?.pem();
    let issuer = Issuer::new(authority, authority_key);
    let mut leaf = params(hosts.to_vec())?;
    // Servers of a cluster are also clients of one another.
    leaf.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let key = KeyPair::generate()?;
    let chain = leaf.signed_by(&key, &issuer)?.pem();
    Ok(Certificate {
        key: key.serialize_pem(),
        chain,
        authority: authority_pem,
    })
}
