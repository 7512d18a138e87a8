//! The fake API server and the simulation loop do what they promise.

mod patches;
mod simulation;
mod verbs;
mod watches;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use serde_json::{Value, json};

fn config_map(name: &str, data: &Value) -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": name}, "data": data})).expect("a ConfigMap")
}

fn config_maps(client: Client) -> Api<ConfigMap> {
    Api::namespaced(client, "test")
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => unreachable!("an API error was expected: {other}"),
    }
}
