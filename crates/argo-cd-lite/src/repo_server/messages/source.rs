//! Sources of Applications. Their JSON is that of the Kubernetes API.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::Value;

/// A repository, a revision and a folder, or a chart.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSource {
    #[prost(string, tag = "1")]
    #[serde(rename = "repoURL")]
    pub repo_url: String,
    #[prost(string, tag = "2")]
    pub path: String,
    #[prost(string, tag = "4")]
    pub target_revision: String,
    #[prost(message, optional, tag = "7")]
    pub helm: Option<ApplicationSourceHelm>,
    #[prost(message, optional, tag = "8")]
    pub kustomize: Option<ApplicationSourceKustomize>,
    #[prost(message, optional, tag = "10")]
    pub directory: Option<ApplicationSourceDirectory>,
    #[prost(message, optional, tag = "11")]
    pub plugin: Option<ApplicationSourcePlugin>,
    #[prost(string, tag = "12")]
    pub chart: String,
    #[prost(string, tag = "13")]
    #[serde(rename = "ref")]
    pub reference: String,
    #[prost(string, tag = "14")]
    pub name: String,
    #[prost(string, tag = "15")]
    pub tag_prefix: String,
}

/// Options of a Helm chart.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSourceHelm {
    #[prost(string, repeated, tag = "1")]
    pub value_files: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub parameters: Vec<HelmParameter>,
    #[prost(string, tag = "3")]
    pub release_name: String,
    #[prost(string, tag = "4")]
    pub values: String,
    #[prost(message, repeated, tag = "5")]
    pub file_parameters: Vec<HelmFileParameter>,
    #[prost(string, tag = "6")]
    pub version: String,
    #[prost(bool, tag = "7")]
    pub pass_credentials: bool,
    #[prost(bool, tag = "8")]
    pub ignore_missing_value_files: bool,
    #[prost(bool, tag = "9")]
    pub skip_crds: bool,
    #[prost(message, optional, tag = "10")]
    pub values_object: Option<RawExtension>,
    #[prost(string, tag = "11")]
    pub namespace: String,
    #[prost(string, tag = "12")]
    pub kube_version: String,
    #[prost(string, repeated, tag = "13")]
    pub api_versions: Vec<String>,
    #[prost(bool, tag = "14")]
    pub skip_tests: bool,
    #[prost(bool, tag = "15")]
    pub skip_schema_validation: bool,
}

/// A single value of a chart.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HelmParameter {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
    #[prost(bool, tag = "3")]
    pub force_string: bool,
}

/// A single value of a chart that is the content of a file.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HelmFileParameter {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub path: String,
}

/// Options of a kustomization.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSourceKustomize {
    #[prost(string, tag = "1")]
    pub name_prefix: String,
    #[prost(string, tag = "2")]
    pub name_suffix: String,
    #[prost(string, repeated, tag = "3")]
    pub images: Vec<String>,
    #[prost(btree_map = "string, string", tag = "4")]
    pub common_labels: BTreeMap<String, String>,
    #[prost(string, tag = "5")]
    pub version: String,
    #[prost(btree_map = "string, string", tag = "6")]
    pub common_annotations: BTreeMap<String, String>,
    #[prost(bool, tag = "7")]
    pub force_common_labels: bool,
    #[prost(bool, tag = "8")]
    pub force_common_annotations: bool,
    #[prost(string, tag = "9")]
    pub namespace: String,
    #[prost(bool, tag = "10")]
    pub common_annotations_envsubst: bool,
    #[prost(message, repeated, tag = "11")]
    pub replicas: Vec<KustomizeReplica>,
    #[prost(message, repeated, tag = "12")]
    pub patches: Vec<KustomizePatch>,
    #[prost(string, repeated, tag = "13")]
    pub components: Vec<String>,
    #[prost(bool, tag = "14")]
    pub label_without_selector: bool,
    #[prost(string, tag = "15")]
    pub kube_version: String,
    #[prost(string, repeated, tag = "16")]
    pub api_versions: Vec<String>,
    #[prost(bool, tag = "17")]
    pub ignore_missing_components: bool,
    #[prost(bool, tag = "18")]
    pub label_include_templates: bool,
}

/// Replicas of workloads of one name.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KustomizeReplica {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub count: Option<IntOrString>,
}

/// A patch of a kustomization.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KustomizePatch {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(string, tag = "2")]
    pub patch: String,
    #[prost(message, optional, tag = "3")]
    pub target: Option<KustomizeSelector>,
    #[prost(btree_map = "string, bool", tag = "4")]
    pub options: BTreeMap<String, bool>,
}

/// The objects that a patch changes.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KustomizeSelector {
    #[prost(message, optional, tag = "1")]
    #[serde(flatten)]
    pub res_id: Option<KustomizeResId>,
    #[prost(string, tag = "2")]
    pub annotation_selector: String,
    #[prost(string, tag = "3")]
    pub label_selector: String,
}

/// Kind and name of the objects that a patch changes.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KustomizeResId {
    #[prost(message, optional, tag = "1")]
    #[serde(flatten)]
    pub gvk: Option<KustomizeGvk>,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub namespace: String,
}

/// Group, version and kind.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KustomizeGvk {
    #[prost(string, tag = "1")]
    pub group: String,
    #[prost(string, tag = "2")]
    pub version: String,
    #[prost(string, tag = "3")]
    pub kind: String,
}

/// Options of a folder of plain manifests.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSourceDirectory {
    #[prost(bool, tag = "1")]
    pub recurse: bool,
    #[prost(message, optional, tag = "2")]
    pub jsonnet: Option<ApplicationSourceJsonnet>,
    #[prost(string, tag = "3")]
    pub exclude: String,
    #[prost(string, tag = "4")]
    pub include: String,
    #[prost(bool, tag = "5")]
    pub disable_extension_filter: bool,
}

/// Options of Jsonnet files.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSourceJsonnet {
    #[prost(message, repeated, tag = "1")]
    pub ext_vars: Vec<JsonnetVar>,
    #[prost(message, repeated, tag = "2")]
    pub tlas: Vec<JsonnetVar>,
    #[prost(string, repeated, tag = "3")]
    pub libs: Vec<String>,
}

/// A variable of Jsonnet.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct JsonnetVar {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
    #[prost(bool, tag = "3")]
    pub code: bool,
}

/// A config management plugin; it is refused, so only its name counts.
#[derive(Clone, PartialEq, prost::Message, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplicationSourcePlugin {
    #[prost(string, tag = "1")]
    pub name: String,
}

/// JSON as bytes.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RawExtension {
    /// The text.
    #[prost(bytes = "vec", tag = "1")]
    pub raw: Vec<u8>,
}

impl Serialize for RawExtension {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.raw.is_empty() {
            return Value::Null.serialize(serializer);
        }
        let value: Value = serde_json::from_slice(&self.raw).map_err(serde::ser::Error::custom)?;
        value.serialize(serializer)
    }
}

/// A number or a text.
#[derive(Clone, PartialEq, prost::Message)]
pub struct IntOrString {
    /// 0 for the number, 1 for the text.
    #[prost(int64, tag = "1")]
    pub type_: i64,
    /// The number.
    #[prost(int32, tag = "2")]
    pub number: i32,
    /// The text.
    #[prost(string, tag = "3")]
    pub text: String,
}

impl Serialize for IntOrString {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.type_ {
            0 => serializer.serialize_i32(self.number),
            _ => serializer.serialize_str(&self.text),
        }
    }
}

impl ApplicationSource {
    /// The source as the rest of the controller knows it.
    pub fn to_api(&self) -> Result<crate::api::ApplicationSource, serde_json::Error> {
        serde_json::from_value(serde_json::to_value(self)?)
    }
}
