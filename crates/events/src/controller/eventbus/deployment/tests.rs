use reconcile_core::{object::ObjectKey, testkit::FakeApi};
use serde_json::{Value, json};

use super::{
    BusDefaults, Deployment,
    live::{self, SecretsState},
    objects::objects,
    secrets::Place,
    server::EncryptionKey,
};
use crate::controller::eventbus::validate;

fn deployment(spec: &Value) -> Deployment {
    let bus = ObjectKey::new("ns", "main");
    let checked = validate::check(&bus, &json!({ "jetstream": spec }), &BusDefaults::default());
    let checked = checked.expect("accepted");
    checked.deployment.expect("deployed")
}

fn owner() -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "EventBus", "name": "main", "uid": "uid-1",
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// The objects without their hashes, which change with every word.
fn rendered(spec: &Value) -> Vec<Value> {
    let (deployment, owner) = (deployment(spec), owner());
    let place = Place {
        names: &deployment.names,
        namespace: "ns",
        owner: &owner,
    };
    objects(&deployment, &place, EncryptionKey::Secret)
        .into_iter()
        .map(|object| {
            let mut body = object.body;
            body["metadata"]["annotations"] = json!({});
            body
        })
        .collect()
}

#[test]
fn the_objects_of_one_server_without_a_volume() {
    insta::assert_yaml_snapshot!(rendered(&json!({"version": "latest", "replicas": 1})));
}

#[test]
fn the_objects_of_a_cluster_with_volumes_and_settings_of_the_pod() {
    insta::assert_yaml_snapshot!(rendered(&json!({
        "version": "latest", "settings": "max_file_store: 1GB", "maxPayload": "2MB", "startArgs": ["-D"],
        "persistence": {"storageClassName": "fast", "volumeSize": "5Gi"},
        "metadata": {"labels": {"team": "a", "controller": "mine"}, "annotations": {"note": "b"}},
        "containerTemplate": {"imagePullPolicy": "Always", "resources": {"requests": {"cpu": "1"}}},
        "reloaderContainerTemplate": {"securityContext": {"runAsNonRoot": true}},
        "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}],
        "priorityClassName": "high", "affinity": {"nodeAffinity": {}},
    })));
}

#[test]
fn the_file_of_the_controller_replaces_what_it_names() {
    let text = r"
eventBus:
  jetstream:
    settings: 'max_file_store: 1GB'
    streamConfig: 'maxMsgs: 5'
    versions:
    - {version: a, natsImage: nats, metricsExporterImage: m, configReloaderImage: r, startCommand: /s}
";
    let parsed = BusDefaults::parse(text).expect("good");
    assert_eq!(parsed.known_versions(), "a");
    assert_eq!(parsed.settings, "max_file_store: 1GB");
    assert_eq!(Value::Object(parsed.stream), json!({"maxmsgs": 5}));
    assert_eq!(BusDefaults::parse(""), Ok(BusDefaults::default()));
    let error = |text: &str| BusDefaults::parse(text).expect_err("refused");
    assert!(error("eventBus: {jetstream: {versions: [{version: a}]}}").contains("\"a\" needs"));
    assert!(error("eventBus: {jetstream: {streamConfig: 'maxMsgs: x'}}").contains("streamConfig"));
}

#[tokio::test]
async fn what_exists_is_read_back_with_its_owner() {
    let (deployment, owner) = (deployment(&json!({"version": "latest"})), owner());
    let place = Place {
        names: &deployment.names,
        namespace: "ns",
        owner: &owner,
    };
    let api = FakeApi::new();
    let look = async || {
        live::look(&api.client(), &deployment.names, "ns", owner.clone())
            .await
            .expect("read")
    };
    let nothing = look().await;
    assert_eq!(nothing.secrets, SecretsState::Missing);
    assert!(nothing.hashes.is_empty() && nothing.foreign.is_none());
    let secrets = place.generate(2026).expect("generated");
    api.put(&secrets.server);
    assert_eq!(look().await.secrets, SecretsState::Missing);
    api.put(&secrets.client);
    let wanted = objects(&deployment, &place, EncryptionKey::Secret);
    for object in &wanted {
        api.put(&object.body);
    }
    let everything = look().await;
    assert_eq!(everything.secrets, SecretsState::Complete);
    assert_eq!(everything.encryption, EncryptionKey::Secret);
    assert!(wanted.iter().all(|object| everything.has(object)));
    // Secrets that upstream has made.
    let (mut server, mut client) = (secrets.server, secrets.client);
    server["metadata"]["annotations"] = json!({});
    client["data"] = json!({"client-auth": client["data"]["client-auth"]});
    api.put(&server);
    api.put(&client);
    let upstream = look().await;
    assert!(
        matches!(upstream.secrets, SecretsState::NoAuthority(pem) if pem.contains("BEGIN CERTIFICATE"))
    );
    assert_eq!(upstream.encryption, EncryptionKey::Upstream);
    // New credentials keep what encrypts the stored messages, as it is.
    let again = place
        .generate_again(2027, &look().await)
        .expect("generated");
    assert_eq!(
        again.server["data"]["encryption"],
        server["data"]["encryption"]
    );
    assert_ne!(again.server["data"]["auth"], server["data"]["auth"]);
    assert_eq!(again.server["metadata"]["annotations"], json!({}));
    client["metadata"]["ownerReferences"] = json!([]);
    api.put(&client);
    let foreign = look().await.foreign;
    assert_eq!(
        foreign.as_deref(),
        Some("Secret ns/eventbus-main-js-client-auth")
    );
}
