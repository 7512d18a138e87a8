//! Manifests of OCI registries.

use std::collections::BTreeMap;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::ChartError;

/// A manifest that was read.
#[derive(Debug)]
pub struct Manifest {
    /// `sha256:` and hexadecimal digits.
    pub digest: String,
    pub(super) layers: Vec<Layer>,
    /// What its author says of it.
    pub(super) annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// Reads the answer of a registry.
    pub fn parse(body: &[u8]) -> Result<Self, ChartError> {
        let content: Content = parse("the manifest", body)?;
        Ok(Self {
            digest: sha256(body),
            layers: content.layers,
            annotations: content.annotations.unwrap_or_default(),
        })
    }
}

#[derive(Deserialize)]
struct Content {
    #[serde(default)]
    layers: Vec<Layer>,
    annotations: Option<BTreeMap<String, String>>,
}

/// A layer of an artifact.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Layer {
    #[serde(default)]
    pub(super) media_type: String,
    pub(super) digest: String,
    #[serde(default)]
    pub(super) size: u64,
}

pub(super) fn sha256(content: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(content)))
}

/// Reads a document of a registry.
pub(super) fn parse<T: for<'de> Deserialize<'de>>(
    what: &'static str,
    body: &[u8],
) -> Result<T, ChartError> {
    serde_json::from_slice(body).map_err(|error| ChartError::Malformed {
        what,
        reason: error.to_string(),
    })
}
