//! Clusters of Secrets, and the destinations that name them.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::ByteString;
use serde_json::{Value, json};

use crate::{
    api::ApplicationDestination,
    clusters::{
        ClusterSecret, DestinationError, ManagedScope, credentials::RemoteAccess,
        registry::Registry, spec::Access,
    },
};

const SERVER: &str = "https://edge.example.com:6443";

fn secret(entries: &[(&str, &str)]) -> ClusterSecret {
    let data: BTreeMap<String, ByteString> = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
        .collect();
    ClusterSecret::read(&data, &BTreeMap::new())
}

fn destination(server: &str, name: &str) -> ApplicationDestination {
    ApplicationDestination {
        server: server.into(),
        name: name.into(),
        ..ApplicationDestination::default()
    }
}

fn access(config: &Value) -> Result<RemoteAccess, String> {
    RemoteAccess::parse(SERVER, config.to_string().as_bytes()).map_err(|error| error.to_string())
}

#[test]
fn a_secret_describes_a_cluster() {
    let secret = secret(&[
        ("name", "edge"),
        ("server", &format!("{SERVER}/")),
        ("namespaces", "shop, billing,"),
        ("clusterResources", "true"),
        ("project", "team"),
        ("config", r#"{"bearerToken": "hush"}"#),
    ]);
    let spec = secret.spec.clone().expect("a cluster");
    assert_eq!(
        (&*spec.destination.server, &*spec.destination.name),
        (SERVER, "edge")
    );
    assert_eq!(&*spec.destination.project, "team");
    assert_eq!(spec.scope.namespaces, ["shop", "billing"]);
    assert!(spec.scope.cluster_resources);
    let Access::Remote(remote) = &spec.access else {
        panic!("{spec:?}");
    };
    let config = remote.client_config().expect("a client");
    assert!(config.auth_info.token.is_some());
    assert!(
        !format!("{secret:?}").contains("hush"),
        "no credential in any text"
    );
}

#[test]
fn the_own_cluster_needs_no_credentials() {
    let own = |config: &str| {
        let entries = [
            ("server", "https://kubernetes.default.svc"),
            ("config", config),
        ];
        secret(&entries).spec.expect("a cluster").access.clone()
    };
    assert_eq!(
        own(r#"{"tlsClientConfig": {"insecure": false}}"#),
        Access::ControlPlane
    );
    assert_eq!(own(""), Access::ControlPlane);
    assert!(matches!(own(r#"{"bearerToken": "t"}"#), Access::Remote(_)));
}

#[test]
fn credentials_of_every_kind_reach_the_client() {
    let key = rcgen_like_pem("PRIVATE KEY");
    let config = access(&json!({
        "username": "u", "password": "p",
        "tlsClientConfig": {"serverName": "api", "certData": key, "keyData": key, "insecure": true},
    }))
    .expect("an access")
    .client_config()
    .expect("a client");
    assert_eq!(config.auth_info.username.as_deref(), Some("u"));
    assert_eq!(config.tls_server_name.as_deref(), Some("api"));
    assert!(config.accept_invalid_certs);
    assert!(config.auth_info.client_certificate_data.is_some());
    assert!(config.auth_info.client_key_data.is_some());
}

fn rcgen_like_pem(title: &str) -> String {
    STANDARD.encode(format!(
        "-----BEGIN {title}-----\nMAA=\n-----END {title}-----\n"
    ))
}

#[test]
fn a_login_to_eks_stands_alone() {
    let cases = [
        (
            json!({"awsAuthConfig": {"roleARN": "hush"}}),
            "config.awsAuthConfig.clusterName is missing",
        ),
        (
            json!({"awsAuthConfig": {"clusterName": "hush"}, "bearerToken": "hush"}),
            "config.awsAuthConfig must not be there beside username or bearerToken",
        ),
        (
            json!({"awsAuthConfig": {"clusterName": "hush"}, "execProviderConfig": {"command": "hush"}}),
            "config.awsAuthConfig must not be there beside execProviderConfig",
        ),
    ];
    for (config, expected) in cases {
        let error = access(&config).expect_err("a refusal");
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
}

#[test]
fn what_cannot_be_used_is_named_without_its_values() {
    let cases = [
        (
            json!({"execProviderConfig": {"args": ["hush"]}}),
            "config.execProviderConfig.command is missing",
        ),
        (
            json!({"execProviderConfig": {"command": "hush", "apiVersion": "hush"}}),
            "config.execProviderConfig.apiVersion is neither",
        ),
        (
            json!({"execProviderConfig": {"command": "hush"}, "bearerToken": "hush"}),
            "config.execProviderConfig must not be there beside",
        ),
        (
            json!({"proxyUrl": "ftp://u:hush@proxy"}),
            "config.proxyUrl is no URL of an http, https or socks5 proxy",
        ),
        (
            json!({"proxyUrl": "http://u%3A:hush@proxy"}),
            "config.proxyUrl has a user name or password that no proxy accepts",
        ),
        (
            json!({"bearerToken": ["hush"]}),
            "config is not the JSON of a cluster config",
        ),
        (
            json!({"tlsClientConfig": {"caData": "#hush"}}),
            "config.tlsClientConfig.caData is not base64",
        ),
        (
            json!({"tlsClientConfig": {"certData": STANDARD.encode("hush")}}),
            "needs both certData and keyData",
        ),
        (
            json!({"tlsClientConfig": {"insecure": true, "caData": STANDARD.encode("hush")}}),
            "must not have both insecure and caData",
        ),
    ];
    for (config, expected) in cases {
        let error = access(&config).expect_err("a refusal");
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("hush"), "{error}");
    }
    let unreadable = access(&json!({"tlsClientConfig": {"caData": STANDARD.encode("hush")}}));
    let error = unreadable
        .expect("base64")
        .client_config()
        .expect_err("no certificate");
    assert!(
        error.to_string().contains("holds no certificate"),
        "{error}"
    );
    for server in [
        "",
        "edge",
        "ftp://edge",
        "https://u:hush@edge",
        "https://edge?token=hush",
    ] {
        let error = RemoteAccess::parse(server, b"")
            .expect_err("a refusal")
            .to_string();
        assert!(!error.contains("u:hush"), "{error}");
    }
}

#[test]
fn destinations_are_resolved_as_upstream_does() {
    let mut registry = Registry::default();
    let server = |registry: &Registry, server: &str, name: &str| {
        let spec = registry.resolve(&destination(server, name));
        spec.map(|spec| spec.destination.server.to_string())
    };
    let own = "https://kubernetes.default.svc";
    assert_eq!(server(&registry, "", "in-cluster").as_deref(), Ok(own));
    assert_eq!(
        server(&registry, &format!("{own}/"), "").as_deref(),
        Ok(own)
    );
    assert_eq!(server(&registry, "", ""), Err(DestinationError::Missing));
    let both = server(&registry, own, "in-cluster").expect_err("both");
    assert_eq!(
        both.to_string(),
        "application destination can't have both name and server defined: in-cluster https://kubernetes.default.svc"
    );
    assert_eq!(
        server(&registry, "", "edge"),
        Err(DestinationError::UnknownName("edge".into()))
    );
    let mut add = |name: &str, entries: &[(&str, &str)]| {
        registry.set(name, Some(Arc::new(secret(entries))));
    };
    add("a", &[("name", "edge"), ("server", SERVER)]);
    add("b", &[("name", "twin"), ("server", "https://one")]);
    add("c", &[("name", "twin"), ("server", "https://two")]);
    add(
        "d",
        &[
            ("name", "odd"),
            ("server", "https://odd"),
            ("config", r#"{"proxyUrl": "ftp://x"}"#),
        ],
    );
    add("e", &[("name", "hub"), ("server", own)]);
    assert_eq!(server(&registry, "", "edge").as_deref(), Ok(SERVER));
    assert_eq!(
        server(&registry, "https://one/", "").as_deref(),
        Ok("https://one")
    );
    let twins = server(&registry, "", "twin").expect_err("two");
    assert_eq!(
        twins.to_string(),
        "there are 2 clusters with the same name: https://one, https://two"
    );
    assert!(!twins.is_unknown());
    let odd = server(&registry, "", "odd").expect_err("unusable");
    assert!(
        odd.to_string()
            .starts_with("cluster Secret d: config.proxyUrl"),
        "{odd}"
    );
    // A Secret may give the own cluster another name.
    assert_eq!(server(&registry, "", "hub").as_deref(), Ok(own));
    assert!(server(&registry, "", "in-cluster").is_err());
    registry.set("e", None);
    registry.set_in_cluster(false);
    assert!(server(&registry, own, "").is_err(), "switched off");
    assert_eq!(registry.specs().len(), 3);
}

#[test]
fn a_namespaced_cluster_manages_its_namespaces_only() {
    let mut scope = ManagedScope {
        namespaces: vec!["shop".into()],
        cluster_resources: false,
    };
    assert_eq!(scope.refusal("ConfigMap", "shop", "a"), None);
    assert_eq!(
        scope.refusal("Deployment", "other", "a").as_deref(),
        Some("Namespace \"other\" for Deployment \"a\" is not managed")
    );
    assert_eq!(
        scope.refusal("ClusterRole", "", "a").as_deref(),
        Some("Cluster level ClusterRole \"a\" can not be managed when in namespaced mode")
    );
    scope.cluster_resources = true;
    assert_eq!(scope.refusal("ClusterRole", "", "a"), None);
    assert_eq!(
        ManagedScope::default().refusal("ClusterRole", "", "a"),
        None
    );
}
