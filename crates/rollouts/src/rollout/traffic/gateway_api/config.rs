//! The configuration of the plugin.

use reconcile_core::{
    kube_types::{LabelSelector, Selector},
    object::FieldError,
};
use serde::Deserialize;

use super::RouteKind;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Config {
    pub(super) namespace: Option<String>,
    #[serde(rename = "httpRoute")]
    pub(super) http: Option<String>,
    #[serde(rename = "grpcRoute")]
    pub(super) grpc: Option<String>,
    #[serde(rename = "tcpRoute")]
    pub(super) tcp: Option<String>,
    #[serde(rename = "tlsRoute")]
    pub(super) tls: Option<String>,
    pub(super) http_routes: Vec<Named>,
    pub(super) grpc_routes: Vec<Named>,
    pub(super) tcp_routes: Vec<Named>,
    pub(super) tls_routes: Vec<Named>,
    http_route_selector: Option<LabelSelector>,
    grpc_route_selector: Option<LabelSelector>,
    tcp_route_selector: Option<LabelSelector>,
    tls_route_selector: Option<LabelSelector>,
}

#[derive(Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
}

/// The selectors of a configuration, as the API server takes them.
pub(super) fn selectors(at: &str, config: &Config) -> Result<Vec<(RouteKind, String)>, FieldError> {
    let given = [
        (
            RouteKind::Http,
            "httpRouteSelector",
            &config.http_route_selector,
        ),
        (
            RouteKind::Grpc,
            "grpcRouteSelector",
            &config.grpc_route_selector,
        ),
        (
            RouteKind::Tcp,
            "tcpRouteSelector",
            &config.tcp_route_selector,
        ),
        (
            RouteKind::Tls,
            "tlsRouteSelector",
            &config.tls_route_selector,
        ),
    ];
    let mut selectors = Vec::new();
    for (kind, name, selector) in given {
        let Some(selector) = selector else {
            continue;
        };
        let at = format!("{at}.{name}");
        let selector = Selector::try_from(selector)
            .map_err(|error| FieldError::new(&at, format!("Invalid value: {error}")))?;
        if selector.is_everything() {
            let message = "Invalid value: an empty selector would take every route";
            return Err(FieldError::new(at, message));
        }
        selectors.push((kind, selector.to_string()));
    }
    Ok(selectors)
}
