use reconcile_core::egress::EgressPolicy;
use serde_json::{Value, json};

use super::{conditions, now, object};
use crate::{
    bus::{Auth, BusConfig, BusState, StreamSettings},
    controller::eventbus::{
        Action, Observed,
        plan::{FINALIZER, plan},
        status::report,
        validate,
    },
    trigger::secrets::SecretError,
};

fn observed(spec: &Value) -> Observed {
    let checked = validate::check(spec);
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
    assert_eq!(
        said(json!({"jetstream": {"version": "latest"}})),
        "Configured=False NotSupportedYet spec.jetstream: not supported yet; use jetstreamExotic"
    );
    assert_eq!(
        said(json!({"nats": {"native": {}}})),
        "Configured=False NotSupportedYet spec.nats: not supported yet; use jetstreamExotic"
    );
    assert_eq!(
        said(json!({})),
        "Configured=False InvalidSpec spec.jetstreamExotic: must not be empty"
    );
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
