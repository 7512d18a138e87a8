//! The configuration of nats-server.

use std::fmt::Write as _;

use super::{CLIENT_PORT, CLUSTER_PORT, Deployment, MONITOR_PORT};

/// Where the configuration is mounted.
pub const CONFIG_FOLDER: &str = "/etc/nats-config";
/// The configuration, inside of it.
pub const CONFIG_FILE: &str = "nats-js.conf";
/// The users, inside of it.
pub const AUTH_FILE: &str = "auth.conf";
/// The file with the number of the server's process.
pub const PID_FILE: &str = "/var/run/nats/nats.pid";
/// Where the volume is mounted.
pub const DATA_FOLDER: &str = "/data/jetstream";

/// What encrypts the stored messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptionKey {
    /// The key of the Secret.
    Secret,
    /// The text `$JS_KEY` itself. Upstream writes the variable in quotes, where the server does not replace it, so
    /// what its servers have stored is encrypted with that text.
    Upstream,
}

/// The text of the configuration.
pub fn configuration(deployment: &Deployment, namespace: &str, key: EncryptionKey) -> String {
    let mut text = format!(
        r#"server_name: $POD_NAME
port: {CLIENT_PORT}
http: {MONITOR_PORT}
pid_file: "{PID_FILE}"
max_payload: {max_payload}
# Clients are moved to other servers within this time when the pod stops.
lame_duck_duration: 30s
tls {{
  cert_file: "{CONFIG_FOLDER}/server-cert.pem"
  key_file: "{CONFIG_FOLDER}/server-key.pem"
  ca_file: "{CONFIG_FOLDER}/ca-cert.pem"
}}
jetstream {{
  store_dir: "{DATA_FOLDER}/store"
  key: {key}
"#,
        max_payload = deployment.max_payload,
        key = match key {
            EncryptionKey::Secret => "$JS_KEY",
            EncryptionKey::Upstream => "\"$JS_KEY\"",
        },
    );
    for line in deployment.settings.lines() {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "  {}", line.trim_end());
    }
    text.push_str("}\n");
    if deployment.is_clustered() {
        text.push_str(&cluster(deployment, namespace));
    }
    let _ = writeln!(text, "include ./{AUTH_FILE}");
    text
}

fn cluster(deployment: &Deployment, namespace: &str) -> String {
    let names = &deployment.names;
    let routes: Vec<String> = (0..deployment.replicas)
        .map(|number| {
            let (pods, service) = (names.stateful_set(), names.service());
            format!("    nats://{pods}-{number}.{service}.{namespace}.svc:{CLUSTER_PORT}")
        })
        .collect();
    format!(
        r#"cluster {{
  name: {name}
  port: {CLUSTER_PORT}
  cluster_advertise: $CLUSTER_ADVERTISE
  connect_retries: 120
  routes: [
{routes}
  ]
  tls {{
    cert_file: "{CONFIG_FOLDER}/cluster-server-cert.pem"
    key_file: "{CONFIG_FOLDER}/cluster-server-key.pem"
    ca_file: "{CONFIG_FOLDER}/cluster-ca-cert.pem"
  }}
}}
"#,
        name = serde_json::Value::from(names.bus.as_str()),
        routes = routes.join("\n"),
    )
}
