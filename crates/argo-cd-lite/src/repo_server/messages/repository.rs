//! Repositories and credentials as callers send them. Debug output holds no secret.

use std::fmt;

/// A repository with what it takes to log in.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct Repository {
    #[prost(string, tag = "1")]
    pub repo: String,
    #[prost(string, tag = "2")]
    pub username: String,
    #[prost(string, tag = "3")]
    pub password: String,
    #[prost(string, tag = "4")]
    pub ssh_private_key: String,
    #[prost(bool, tag = "6")]
    pub insecure_ignore_host_key: bool,
    #[prost(bool, tag = "7")]
    pub insecure: bool,
    #[prost(bool, tag = "8")]
    pub enable_lfs: bool,
    #[prost(string, tag = "9")]
    pub tls_client_cert_data: String,
    #[prost(string, tag = "10")]
    pub tls_client_cert_key: String,
    #[prost(string, tag = "11")]
    pub type_: String,
    #[prost(string, tag = "12")]
    pub name: String,
    #[prost(bool, tag = "14")]
    pub enable_oci: bool,
    #[prost(string, tag = "15")]
    pub github_app_private_key: String,
    #[prost(int64, tag = "16")]
    pub github_app_id: i64,
    #[prost(int64, tag = "17")]
    pub github_app_installation_id: i64,
    #[prost(string, tag = "18")]
    pub github_app_enterprise_base_url: String,
    #[prost(string, tag = "19")]
    pub proxy: String,
    #[prost(string, tag = "23")]
    pub no_proxy: String,
    #[prost(string, tag = "20")]
    pub project: String,
    #[prost(string, tag = "21")]
    pub gcp_service_account_key: String,
    #[prost(bool, tag = "24")]
    pub use_azure_workload_identity: bool,
    #[prost(string, tag = "25")]
    pub bearer_token: String,
    #[prost(bool, tag = "26")]
    pub insecure_oci_force_http: bool,
    #[prost(string, tag = "29")]
    pub azure_service_principal_client_id: String,
}

/// Credentials of all repositories below a URL.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
pub struct RepoCreds {
    #[prost(string, tag = "1")]
    pub url: String,
    #[prost(string, tag = "2")]
    pub username: String,
    #[prost(string, tag = "3")]
    pub password: String,
    #[prost(string, tag = "4")]
    pub ssh_private_key: String,
    #[prost(string, tag = "5")]
    pub tls_client_cert_data: String,
    #[prost(string, tag = "6")]
    pub tls_client_cert_key: String,
    #[prost(string, tag = "7")]
    pub github_app_private_key: String,
    #[prost(int64, tag = "8")]
    pub github_app_id: i64,
    #[prost(bool, tag = "11")]
    pub enable_oci: bool,
    #[prost(string, tag = "12")]
    pub type_: String,
    #[prost(string, tag = "13")]
    pub gcp_service_account_key: String,
    #[prost(string, tag = "19")]
    pub proxy: String,
    #[prost(bool, tag = "24")]
    pub use_azure_workload_identity: bool,
    #[prost(string, tag = "25")]
    pub bearer_token: String,
    #[prost(bool, tag = "26")]
    pub insecure_oci_force_http: bool,
    #[prost(string, tag = "29")]
    pub azure_service_principal_client_id: String,
}

/// A source whose files others read.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RefTarget {
    #[prost(message, optional, tag = "1")]
    pub repo: Option<Repository>,
    #[prost(string, tag = "2")]
    pub target_revision: String,
    #[prost(string, tag = "3")]
    pub chart: String,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = reconcile_core::credentials::redact_url(&self.repo);
        f.debug_tuple("Repository").field(&url).finish()
    }
}

impl fmt::Debug for RepoCreds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = reconcile_core::credentials::redact_url(&self.url);
        f.debug_tuple("RepoCreds").field(&url).finish()
    }
}
