//! Where manifests of triggers come from, and buckets of S3.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::KeySelector;

/// Where an object comes from. The first one given is used, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ArtifactSource {
    /// An object in a bucket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Artifact>,
    /// YAML or JSON text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inline: Option<String>,
    /// A file of the Sensor's pod; refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Value>,
    /// A file on a web server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<UrlArtifact>,
    /// A file in a Git repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<Box<GitArtifact>>,
    /// A key of a ConfigMap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configmap: Option<KeySelector>,
    /// The object itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Value>,
    /// The object of `inline`, read once.
    #[serde(skip)]
    pub parsed: Option<Arc<Value>>,
}

/// A file on a web server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UrlArtifact {
    /// The URL.
    pub path: String,
    /// Verify the certificate of the server: unless it is `false`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verify_cert: Option<bool>,
}

/// A file in a Git repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GitArtifact {
    /// The repository, by https, http or ssh.
    pub url: String,
    /// User and password for https and http.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub creds: Option<GitCreds>,
    /// Private key for ssh, and behind it lines with the keys of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ssh_key_secret: Option<KeySelector>,
    /// Accept any host key.
    pub insecure_ignore_host_key: bool,
    /// Path of the file in the repository.
    pub file_path: String,
    /// The full name of a ref, or the id of a commit.
    #[serde(rename = "ref")]
    pub reference: String,
    /// A branch.
    pub branch: String,
    /// A tag.
    pub tag: String,
    /// Another repository, which is read instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<GitRemote>,
}

/// How to log in to a Git server.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GitCreds {
    /// Name of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<KeySelector>,
    /// Password or token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<KeySelector>,
}

/// Another repository.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct GitRemote {
    /// Its URLs, of which the first is used.
    pub urls: Vec<String>,
}

/// A bucket of S3, or of a server that speaks its protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct S3Artifact {
    /// `HOST` or `HOST:PORT`; Amazon when empty.
    pub endpoint: String,
    /// The bucket, and for a trigger the object in it.
    pub bucket: S3Bucket,
    /// `us-east-1` when empty.
    pub region: String,
    /// Plain HTTP.
    pub insecure: bool,
    /// Id of the access key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_key: Option<KeySelector>,
    /// The secret of the access key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<KeySelector>,
    /// Events of a source.
    pub events: Vec<String>,
    /// Objects of a source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<S3Filter>,
    /// Copied into each payload of a source.
    pub metadata: BTreeMap<String, String>,
    /// Certificates to trust, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_certificate: Option<KeySelector>,
}

/// A bucket.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct S3Bucket {
    /// Its name.
    pub name: String,
    /// Name of an object.
    pub key: String,
}

/// Names of objects.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct S3Filter {
    /// How they begin.
    pub prefix: String,
    /// How they end.
    pub suffix: String,
}
