use std::collections::BTreeMap;

use reconcile_core::{egress::EgressPolicy, object::ObjectKey};
use serde_json::{Value, json};

use super::{conditions, now, object};
use crate::{
    bus::{Auth, BusConfig, BusState, StreamSettings},
    controller::eventbus::{
        Action, BusDefaults, Observed,
        deployment::{Live, ManagedKind, live::SecretsState, server::EncryptionKey},
        plan::{FINALIZER, plan},
        status::report,
        validate,
    },
    trigger::secrets::SecretError,
};

fn observed(spec: &Value) -> Observed {
    let key = ObjectKey::new("ns", "default");
    let checked = validate::check(&key, spec, &BusDefaults::default());
    let credentials = checked.as_ref().ok().map(|bus| {
        Ok(BusConfig {
            urls: bus.urls.clone(),
            auth: Auth::None,
            tls: None,
            stream: bus.stream.clone(),
            egress: EgressPolicy::AllowLinkLocal,
        })
    });
    Observed {
        object: object("default", validate::findings(spec)),
        spec: checked,
        credentials,
        connection: None,
        largest_message: Some(1_048_576),
        settings_problem: None,
        live: None,
        users: Vec::new(),
    }
}

fn exotic() -> Value {
    json!({"jetstreamExotic": {"url": "nats://bus:4222"}})
}

fn reported(observed: &Observed) -> String {
    conditions(&report(observed, &plan(observed, now()), None, now()))
}

#[test]
fn a_bus_is_connected_to_and_says_so_once_it_is_ready() {
    let mut bus = observed(&exotic());
    let connect = plan(&bus, now());
    assert!(matches!(
        connect.actions.as_slice(),
        [Action::AddFinalizer, Action::Connect(_)]
    ));
    assert_eq!(
        reported(&bus),
        "Configured=True\nDeployed=Unknown Connecting connecting"
    );
    let config = bus
        .credentials
        .clone()
        .expect("settings")
        .expect("credentials");
    bus.object.meta.finalizers = vec![FINALIZER.to_owned()];
    bus.connection = Some((config.clone(), BusState::Away("connection refused".into())));
    assert!(plan(&bus, now()).actions.is_empty());
    assert_eq!(
        reported(&bus),
        "Configured=True\nDeployed=False NotConnected connection refused"
    );
    bus.connection = Some((config, BusState::Ready { stream: 1 }));
    assert_eq!(
        reported(&bus),
        "Configured=True\nDeployed=True Skipped connected; nothing is deployed for a bus that exists already; a message has at most 1048576 bytes"
    );
    let status = &report(&bus, &plan(&bus, now()), None, now()).patches[0].body["status"];
    assert_eq!(
        status["config"],
        json!({"jetstream": {"url": "nats://bus:4222"}})
    );
    assert_eq!(status["observedGeneration"], 3);
    assert_eq!(status["maxPayload"], 1_048_576);
}

#[test]
fn other_settings_exchange_the_connection_and_a_missing_secret_keeps_it() {
    let mut bus = observed(&exotic());
    bus.object.meta.finalizers = vec![FINALIZER.to_owned()];
    let mut other = bus
        .credentials
        .clone()
        .expect("settings")
        .expect("credentials");
    other.urls = vec!["nats://old:4222".into()];
    bus.connection = Some((other, BusState::Ready { stream: 1 }));
    assert!(matches!(
        plan(&bus, now()).actions.as_slice(),
        [Action::Connect(_)]
    ));
    bus.credentials = Some(Err(SecretError::not_found("ns", "s")));
    assert!(plan(&bus, now()).actions.is_empty());
    assert!(
        reported(&bus)
            .starts_with("Configured=False SecretMissing cannot read Secret ns/s: not found")
    );
}

#[test]
fn deletion_waits_for_the_users_of_a_bus() {
    let mut bus = observed(&exotic());
    bus.object.meta.deleting = true;
    bus.object.meta.finalizers = vec![FINALIZER.to_owned()];
    bus.users = vec!["Sensor s".into()];
    assert!(plan(&bus, now()).actions.is_empty());
    assert!(reported(&bus).contains("Deployed=False InUse deletion waits: used by Sensor s"));
    bus.users.clear();
    assert_eq!(plan(&bus, now()).actions, [Action::RemoveFinalizer]);
    assert_eq!(reported(&bus), "no patch");
}

#[test]
fn what_cannot_be_served_is_said_with_the_field() {
    let said = |spec: Value| {
        reported(&observed(&spec))
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    for (spec, expected) in [
        (
            json!({"jetstream": {"version": "9"}}),
            "InvalidSpec spec.jetstream.version: \"9\" is not in the controller's configuration, which has latest, 2.10.29",
        ),
        (
            json!({"jetstream": {"version": "latest", "replicas": 2}}),
            "InvalidSpec spec.jetstream.replicas: must be 1, or 3 to 64: two servers have no majority",
        ),
        (
            json!({"jetstream": {"version": "latest", "replicas": 1, "streamConfig": "replicas: 3"}}),
            "InvalidSpec spec.jetstream.streamConfig: replicas: 3 copies need as many servers, and spec.replicas is 1",
        ),
        (
            json!({"jetstream": {"version": "latest", "maxPayload": "1MB }"}}),
            "InvalidSpec spec.jetstream.maxPayload: \"1MB }\" must be a size like 1MB or 65536",
        ),
        (
            json!({"nats": {"exotic": {"url": "nats://x"}}}),
            "NotSupported spec.nats.exotic: not supported: NATS Streaming has no maintained client; use jetstreamExotic with a JetStream server",
        ),
        (
            json!({"kafka": {"url": "kafka:9092"}}),
            "NotSupported spec.kafka: not supported: buses are JetStream; use jetstream, or jetstreamExotic with a server of your own",
        ),
        (
            json!({}),
            "InvalidSpec spec: must have one of jetstream, jetstreamExotic and nats.native",
        ),
    ] {
        assert_eq!(said(spec), format!("Configured=False {expected}"));
    }
    assert!(said(json!({"jetstreamExotic": {"url": 3}})).contains("spec.jetstreamExotic.url: "));
    assert!(
        said(json!({"jetstreamExotic": {"url": "nats://a b"}}))
            .contains("spec.jetstreamExotic.url: ")
    );
    assert!(
        said(json!({"jetstreamExotic": {"url": "nats://a", "streamConfig": "maxAge: soon"}}))
            .contains("spec.jetstreamExotic.streamConfig: maxage")
    );
}

#[test]
fn secrets_hold_user_and_password_or_a_token() {
    let is = |text: &str, expected: Auth| assert!(validate::auth(text) == expected, "{text}");
    let basic = |username: &str, password: &str| Auth::Basic {
        username: username.into(),
        password: password.into(),
    };
    is("username: u\npassword: p\n", basic("u", "p"));
    is("username: u\npassword: 123456\n", basic("u", "123456"));
    is("token: t\n", Auth::Token("t".into()));
    is("plain\n", Auth::Token("plain".into()));
    is("nkey: SUX\n", Auth::Nkey("SUX".into()));
    let seed = nkeys::KeyPair::new_user().seed().expect("a seed");
    is(&format!("{seed}\n"), Auth::Nkey(seed.as_str().into()));
    let file = "-----BEGIN NATS USER JWT-----\nx\n------END NATS USER JWT------\n";
    is(file, Auth::Credentials(file.into()));
    let debug = format!(
        "{:?}",
        BusConfig {
            urls: vec!["u".into()],
            auth: basic("u", "hush"),
            tls: None,
            stream: StreamSettings::default(),
            egress: EgressPolicy::AllowLinkLocal,
        }
    );
    assert!(!debug.contains("hush"), "{debug}");
}

/// A bus to deploy of which nothing exists yet.
fn deployed(spec: &Value) -> Observed {
    let mut bus = observed(spec);
    bus.live = Some(Live {
        owner: json!({"kind": "EventBus", "name": "default", "uid": "uid-1"}),
        secrets: SecretsState::Missing,
        encryption: EncryptionKey::Secret,
        key: None,
        hashes: BTreeMap::new(),
        ready: 0,
        foreign: None,
    });
    bus.credentials = Some(Err(SecretError::not_found("ns", "s")));
    bus
}

fn actions(bus: &Observed) -> Vec<String> {
    let plan = plan(bus, now());
    plan.actions.iter().map(ToString::to_string).collect()
}

#[test]
fn a_bus_is_deployed_then_connected_to_and_follows_its_manifest() {
    let mut bus = deployed(&json!({"jetstream": {"version": "latest"}}));
    assert_eq!(
        actions(&bus),
        [
            "add finalizer eventbus-controller",
            "create credentials",
            "apply ConfigMap eventbus-default-js-config",
            "apply Service eventbus-default-js-svc",
            "apply StatefulSet eventbus-default-js",
        ]
    );
    assert_eq!(
        reported(&bus),
        "Configured=True\nDeployed=Unknown Deploying credentials are being created"
    );
    let applied = plan(&bus, now()).actions;
    bus.object.meta.finalizers = vec![FINALIZER.to_owned()];
    let config = observed(&json!({"jetstream": {"version": "latest"}}));
    bus.credentials = config.credentials;
    let live = bus.live.as_mut().expect("deployed");
    live.secrets = SecretsState::Complete;
    live.ready = 1;
    for action in applied {
        if let Action::Deploy(object) = action {
            live.hashes.insert(object.kind, object.hash);
        }
    }
    assert_eq!(
        actions(&bus),
        ["connect to nats://eventbus-default-js-svc.ns.svc:4222"]
    );
    let connected = bus.credentials.clone().expect("some").expect("read");
    bus.connection = Some((connected, BusState::Ready { stream: 1 }));
    assert!(actions(&bus).is_empty());
    assert_eq!(
        reported(&bus),
        "Configured=True\nDeployed=True Succeeded JetStream is deployed; 1 of 3 servers are ready; a message has at most 1048576 bytes"
    );
    let status = &report(&bus, &plan(&bus, now()), None, now()).patches[0].body["status"];
    let secret = |key: &str| json!({"name": "eventbus-default-js-client-auth", "key": key});
    assert_eq!(
        status["config"]["jetstream"],
        json!({
            "url": "nats://eventbus-default-js-svc.ns.svc:4222",
            "accessSecret": secret("client-auth"),
            "tls": {"caCertSecret": secret("ca-cert")},
            "streamConfig": "discard: 0\nduplicates: 300s\nmaxage: 72h\nmaxbytes: 1GB\nmaxmsgs: 1000000\nreplicas: 3\nretention: 0\n",
        })
    );
    // A change of the manifest changes what depends on it only.
    let live = bus.live.take();
    let mut bus = observed(&json!({"jetstream": {"version": "latest", "startArgs": ["-D"]}}));
    bus.object.meta.finalizers = vec![FINALIZER.to_owned()];
    bus.live = live;
    assert_eq!(
        actions(&bus)[..1],
        ["apply StatefulSet eventbus-default-js"]
    );
    // Deleted with its volumes.
    bus.live = None;
    bus.object.meta.deleting = true;
    assert_eq!(
        actions(&bus),
        ["delete volumes", "remove finalizer eventbus-controller"]
    );
}

#[test]
fn servers_of_upstream_keep_their_credentials_and_what_they_stored() {
    let mut bus = deployed(&json!({"jetstream": {"version": "latest"}}));
    let live = bus.live.as_mut().expect("deployed");
    live.secrets = SecretsState::NoAuthority("PEM".into());
    live.encryption = EncryptionKey::Upstream;
    let plan = plan(&bus, now());
    assert!(plan.actions.contains(&Action::AddAuthority("PEM".into())));
    assert!(!plan.actions.contains(&Action::CreateSecrets));
    let config = plan.actions.iter().find_map(|action| match action {
        Action::Deploy(object) if object.kind == ManagedKind::ConfigMap => Some(&object.body),
        _ => None,
    });
    let text = config.expect("a configuration")["data"]["nats-js"].as_str();
    assert!(
        text.expect("text").contains("key: \"$JS_KEY\"\n"),
        "{text:?}"
    );
}

#[test]
fn an_object_of_somebody_else_is_left_alone_and_named() {
    let mut bus = deployed(&json!({"jetstream": {"version": "latest"}}));
    bus.live.as_mut().expect("deployed").foreign =
        Some("Secret ns/eventbus-default-js-server".into());
    bus.credentials = observed(&exotic()).credentials;
    assert!(actions(&bus).is_empty());
    assert_eq!(
        reported(&bus),
        "Configured=True\nDeployed=False NameTaken Secret ns/eventbus-default-js-server does not belong to this EventBus; delete it, or give the EventBus another name"
    );
}

#[test]
fn nats_streaming_is_served_by_jetstream_and_says_so() {
    let spec = json!({"nats": {"native": {
        "replicas": 1, "auth": "token", "antiAffinity": true, "maxAge": "24h", "maxMsgs": 7, "maxBytes": "2MB",
    }}});
    let mut bus = deployed(&spec);
    let checked = bus.spec.as_ref().expect("accepted");
    assert_eq!(
        (checked.stream.max_msgs, checked.stream.max_bytes),
        (7, 2 << 20)
    );
    let deployment = checked.deployment.as_ref().expect("deployed");
    assert_eq!(deployment.replicas, 3);
    assert!(deployment.spec.pod.affinity.is_some());
    bus.credentials = observed(&spec).credentials;
    let config = bus.credentials.clone().expect("some").expect("read");
    bus.connection = Some((config, BusState::Ready { stream: 1 }));
    assert!(
        reported(&bus)
            .contains("Deployed=True Succeeded spec.nats.native is served by JetStream; 0 of 3"),
        "{}",
        reported(&bus)
    );
}
