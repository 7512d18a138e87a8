//! Traefik, with the kinds that its providers watch.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::process::{Part, Program};
use serde_json::{Value, json};

use crate::PATIENCE;
use crate::scene::{OptionalProgram, Scene};

/// The kinds of Traefik's own provider.
const OWN: [&str; 10] = [
    "IngressRoute",
    "IngressRouteTCP",
    "IngressRouteUDP",
    "Middleware",
    "MiddlewareTCP",
    "ServersTransport",
    "ServersTransportTCP",
    "TLSOption",
    "TLSStore",
    "TraefikService",
];
/// The kinds of the Gateway API, with their plurals.
const GATEWAY: [(&str, &str); 8] = [
    ("GatewayClass", "gatewayclasses"),
    ("Gateway", "gateways"),
    ("HTTPRoute", "httproutes"),
    ("GRPCRoute", "grpcroutes"),
    ("TCPRoute", "tcproutes"),
    ("TLSRoute", "tlsroutes"),
    ("ReferenceGrant", "referencegrants"),
    ("BackendTLSPolicy", "backendtlspolicies"),
];

/// What Traefik reads its routes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// `IngressRoute` and `TraefikService`.
    Own,
    /// The Gateway API.
    Gateway,
}

/// A running Traefik.
pub struct Traefik {
    part: Part,
    pub url: String,
    pub port: u16,
}

/// Traefik.
pub const PROGRAM: OptionalProgram = OptionalProgram {
    name: "traefik",
    variable: "TRAEFIK",
    skip: "SKIP_TRAEFIK",
    kept: "traefik/bin/traefik",
};

/// An object with any fields; those of `properties` have defaults.
fn open(properties: &Value) -> Value {
    json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true, "properties": properties})
}

/// The defaults of an `HTTPRoute`. Traefik relies on them, as on those of the real definition.
fn http_route() -> Value {
    let list = |items: Value| json!({"type": "array", "items": items});
    let text = |default: &str| json!({"type": "string", "default": default});
    let parent =
        open(&json!({"group": text("gateway.networking.k8s.io"), "kind": text("Gateway")}));
    let weight = json!({"type": "integer", "format": "int32", "default": 1});
    let backend = open(&json!({"group": text(""), "kind": text("Service"), "weight": weight}));
    let root = json!({"type": "PathPrefix", "value": "/"});
    let mut path = open(&json!({}));
    path["default"] = root.clone();
    let mut matches = list(open(&json!({ "path": path })));
    matches["default"] = json!([{ "path": root }]);
    let rule = open(&json!({"matches": matches, "backendRefs": list(backend)}));
    open(&json!({"spec": open(&json!({"parentRefs": list(parent), "rules": list(rule)}))}))
}

fn definition(group: &str, versions: &[&str], kind: &str, plural: &str) -> Value {
    let object = match kind {
        "HTTPRoute" => http_route(),
        _ => open(&json!({})),
    };
    let schema = json!({ "openAPIV3Schema": object });
    let versions = versions.iter().enumerate().map(|(index, version)| {
        json!({
            "name": version, "served": true, "storage": index == 0, "schema": schema,
            "subresources": if group == "traefik.io" { json!({}) } else { json!({"status": {}}) },
        })
    });
    let is_class = kind == "GatewayClass";
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": format!("{plural}.{group}"),
            // Groups below k8s.io are protected; this is what the project of the Gateway API has there.
            "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api/pull/2466"},
        },
        "spec": {
            "group": group, "scope": if is_class { "Cluster" } else { "Namespaced" },
            "names": {"kind": kind, "singular": kind.to_lowercase(), "plural": plural},
            "versions": versions.collect::<Vec<_>>(),
        },
    })
}

fn definitions(provider: Provider) -> Vec<Value> {
    let own = OWN.iter().map(|kind| {
        let plural = format!("{}s", kind.to_lowercase());
        definition("traefik.io", &["v1alpha1"], kind, &plural)
    });
    let versions = ["v1", "v1beta1", "v1alpha3", "v1alpha2"];
    let gateway = GATEWAY
        .iter()
        .map(|(kind, plural)| definition("gateway.networking.k8s.io", &versions, kind, plural));
    match provider {
        Provider::Own => own.collect(),
        Provider::Gateway => gateway.collect(),
    }
}

impl Traefik {
    /// Starts Traefik on a free port.
    pub async fn start(scene: &Scene, path: PathBuf, provider: Provider) -> Result<Self> {
        let cluster = scene.bed.cluster()?;
        for definition in definitions(provider) {
            cluster.apply_one("", &definition).await?;
        }
        let port = scene.bed.free_port()?;
        let provider = match provider {
            Provider::Own => "--providers.kubernetescrd=true",
            Provider::Gateway => "--providers.kubernetesgateway=true",
        };
        let program = Program::new("traefik", path)
            .args([
                format!("--entrypoints.web.address=127.0.0.1:{port}"),
                provider.to_owned(),
                "--global.checknewversion=false".to_owned(),
                "--global.sendanonymoususage=false".to_owned(),
                "--log.level=INFO".to_owned(),
            ])
            .env("KUBECONFIG", cluster.kubeconfig());
        let part = scene.bed.part(program)?;
        part.start().await?;
        let url = format!("http://127.0.0.1:{port}/");
        Ok(Self { part, url, port })
    }

    /// Waits until a request of everybody, or of those who send a header, is answered well.
    pub async fn until_served(&self, header: Option<(&str, &str)>) -> Result<()> {
        let http = reqwest::Client::new();
        let send = || {
            let request = http.get(&self.url);
            match header {
                Some((name, value)) => request.header(name, value),
                None => request,
            }
            .send()
        };
        let first = async {
            while !send()
                .await
                .is_ok_and(|answer| answer.status().is_success())
            {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let served = tokio::time::timeout(PATIENCE, first).await;
        served.with_context(|| format!("Traefik serves nothing:\n{}", self.part.tail()))
    }
}
