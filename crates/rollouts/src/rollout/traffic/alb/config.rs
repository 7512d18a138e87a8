//! The configuration of the ALB router.

use serde::Deserialize;

/// `trafficRouting.alb` as the manifest has it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Config {
    pub(super) ingress: String,
    pub(super) ingresses: Vec<String>,
    pub(super) service_port: i64,
    pub(super) service_ports: Vec<IngressPorts>,
    pub(super) root_service: Option<String>,
    pub(super) annotation_prefix: Option<String>,
    #[serde(rename = "stickinessConfig")]
    pub(super) stickiness: Stickiness,
}

/// Ports of the Services in one Ingress.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct IngressPorts {
    pub(super) ingress: String,
    pub(super) service_ports: Vec<i64>,
}

/// Whether a client stays with its version.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Stickiness {
    pub(super) enabled: bool,
    pub(super) duration_seconds: i64,
}
