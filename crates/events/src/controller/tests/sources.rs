use std::sync::Arc;

use reconcile_core::object::ObjectKey;
use serde_json::{Value, json};

use super::{conditions, now, object};
use crate::{
    bus::BusState,
    controller::eventsource::{
        Action, Observed,
        plan::{FINALIZER, plan},
        registrations::Registrations,
        service,
        status::report,
        validate,
    },
    source::{
        CheckedSource,
        listener::{ClosedPort, Refused, Served},
    },
    worker::SourceHealth,
};

pub(super) fn observed(spec: &Value) -> Observed {
    let checked = validate::check("src", spec);
    Observed {
        object: object("src", validate::findings(spec)),
        source: Arc::new(CheckedSource {
            key: ObjectKey::new("ns", "src"),
            uid: "uid-1".into(),
            webhooks: checked
                .iter()
                .flat_map(|spec| spec.webhooks.iter().map(|(webhook, _)| webhook.clone()))
                .collect(),
            tasks: checked.iter().flat_map(|spec| spec.tasks.clone()).collect(),
            service: false,
            contested: std::collections::BTreeSet::new(),
        }),
        spec: checked,
        elsewhere: None,
        missing: Vec::new(),
        bus: Some(BusState::Ready { stream: 1 }),
        ports: std::collections::BTreeSet::new(),
        owner: Value::Null,
        service_done: true,
        published: false,
        unreachable: false,
        registrations: Registrations::default(),
    }
}

pub(super) fn reported(observed: &Observed, refused: Vec<Refused>) -> String {
    let health = SourceHealth {
        served: Served {
            refused,
            ..Served::default()
        },
        ..SourceHealth::default()
    };
    conditions(&report(
        observed,
        &plan(observed, now()),
        Some(&health),
        None,
        now(),
    ))
}

pub(super) fn hook() -> Value {
    json!({"port": "12000", "endpoint": "push", "method": "POST"})
}

#[test]
fn a_good_source_is_served() {
    let source = observed(&json!({"webhook": {"push": hook()}}));
    assert_eq!(plan(&source, now()).actions, [Action::Run]);
    assert_eq!(
        reported(&source, Vec::new()),
        "Deployed=True\nSourcesProvided=True"
    );
    assert_eq!(source.source.webhooks[0].endpoint.path(), "/push");
    assert_eq!(source.source.webhooks[0].max_body, 1024 * 1024);
}

#[test]
fn one_bad_event_and_unserved_types_do_not_stop_the_others() {
    let source = observed(&json!({
        "webhook": {
            "push": hook(),
            "no-port": {"endpoint": "/x", "method": "POST"},
            "bad-port": {"endpoint": "/x", "port": "99999"},
            "no-path": {"port": "1"},
            "put": {"port": 12000, "endpoint": "/x", "method": "PUT"},
            "tls": {"port": "12000", "endpoint": "/x", "serverCertSecret": {"name": "a", "key": "b"}},
            "filter": {"port": "12000", "endpoint": "/x", "filter": {"expression": "body ="}},
            "wrong": 7,
            "dotted.name": hook(),
        },
        "calendar": {
            "both": {},
            "fast": {"interval": "1ms"},
            "zone": {"interval": "1h", "timezone": "Mars/North"},
        },
        "hdfs": {"files": {"addresses": ["h:8020"]}},
        "template": {"container": {"resources": {}}},
    }));
    assert_eq!(source.source.webhooks.len(), 1);
    assert_eq!(plan(&source, now()).actions, [Action::Run]);
    insta::assert_snapshot!(reported(&source, Vec::new()).replace("; ", ";\n  "));
}

#[test]
fn types_that_are_refused_for_good_say_why() {
    let source = observed(&json!({
        "webhook": {"push": hook()},
        "hdfs": {"files": {"addresses": ["h:8020"]}},
        "mns": {"orders": {"queue": "q"}},
    }));
    assert_eq!(source.source.webhooks.len(), 1);
    let reported = reported(&source, Vec::new());
    for reason in [
        "spec.hdfs: refused: it needs a client of Hadoop",
        "spec.mns: refused: there is no kept client",
    ] {
        assert!(reported.contains(reason), "{reported}");
    }
    assert!(!reported.contains("not supported yet"), "{reported}");
}

#[test]
fn deployed_is_true_only_when_all_parts_run() {
    let mut source = observed(&json!({"webhook": {"push": hook()}}));
    let first = |source: &Observed, refused| {
        reported(source, refused)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let refused = vec![Refused {
        event: "push".into(),
        reason: "cannot listen on port 80: permission denied".into(),
    }];
    assert_eq!(
        first(&source, refused),
        "Deployed=False NotServed push: cannot listen on port 80: permission denied"
    );
    source.missing = vec!["spec.webhook.push.authSecret: Secret ns/a: does not exist".into()];
    assert!(
        first(&source, Vec::new()).starts_with("Deployed=False SecretMissing spec.webhook.push")
    );
    source.bus = Some(BusState::Away("not connected".into()));
    assert_eq!(
        first(&source, Vec::new()),
        "Deployed=False EventBusNotReady EventBus default: not connected"
    );
    // What runs continues while the bus is not connected.
    assert_eq!(plan(&source, now()).actions, [Action::Run]);
    source.bus = None;
    assert_eq!(plan(&source, now()).actions, [Action::Stop]);
    assert!(
        first(&source, Vec::new())
            .starts_with("Deployed=False EventBusNotFound EventBus default does not exist")
    );
}

#[test]
fn an_object_that_upstream_has_marked_is_let_go() {
    let mut source = observed(&json!({"webhook": {"push": hook()}}));
    source.object.meta.deleting = true;
    assert_eq!(plan(&source, now()).actions, [Action::Stop]);
    source.object.meta.finalizers = vec![FINALIZER.to_owned()];
    assert_eq!(
        plan(&source, now()).actions,
        [Action::Stop, Action::RemoveFinalizer]
    );
}

#[test]
fn the_service_leads_to_a_port_of_this_replica() {
    let spec =
        json!({"ports": [{"port": 80, "targetPort": 12000, "name": "http"}], "clusterIP": "None"});
    let spec = serde_json::from_value(spec).expect("a service");
    let key = ObjectKey::new("ns", "src");
    let owner = json!({"uid": "uid-1"});
    let targets = std::collections::BTreeMap::from([(12000, 20077)]);
    let endpoints = service::Endpoints {
        source: &key,
        owner: &owner,
        spec: &spec,
        replica: "b5bb9d8014",
        address: "10.0.0.7".parse().expect("an address"),
        targets: &targets,
    };
    insta::assert_json_snapshot!([service::service(&key, &owner, &spec), endpoints.slice()]);
    assert!(service::is_reachable(endpoints.address));
    for nowhere in ["127.0.0.1", "::1", "0.0.0.0"] {
        assert!(!service::is_reachable(nowhere.parse().expect("an address")));
    }
}

#[test]
fn endpoints_are_published_while_a_service_is_asked_for() {
    let mut source =
        observed(&json!({"webhook": {"push": hook()}, "service": {"ports": [{"port": 12000}]}}));
    assert_eq!(
        plan(&source, now()).actions,
        [Action::Run, Action::Endpoints]
    );
    source.published = true;
    source.spec = validate::check("src", &json!({"webhook": {"push": hook()}}));
    assert_eq!(
        plan(&source, now()).actions,
        [Action::Run, Action::Endpoints]
    );
    source.spec = validate::check("src", &json!({"webhook": 7}));
    assert_eq!(
        plan(&source, now()).actions,
        [Action::Stop, Action::Endpoints]
    );
    source.object.meta.deleting = true;
    assert_eq!(
        plan(&source, now()).actions,
        [Action::Stop, Action::Endpoints]
    );
}

#[test]
fn a_schedule_without_further_ticks_is_named() {
    let source = observed(&json!({"calendar": {"tick": {"interval": "10s"}}}));
    let mut health = SourceHealth::default();
    health.interrupted.insert(
        "tick".into(),
        "bucket _ticks: maximum number of streams reached".into(),
    );
    let report = report(&source, &plan(&source, now()), Some(&health), None, now());
    assert_eq!(
        conditions(&report).lines().next(),
        Some("Deployed=False NotServed tick: bucket _ticks: maximum number of streams reached")
    );
}

#[test]
fn an_event_source_has_a_bound_on_its_ports_and_endpoints_may_share_them() {
    let hook = |port: u16, path: usize| json!({"port": port, "endpoint": format!("/{path}")});
    let mut webhooks: serde_json::Map<String, Value> = (0..17)
        .map(|count| (format!("e{count:02}"), hook(12000 + count, 0)))
        .collect();
    webhooks.insert("shared".into(), hook(12000, 1));
    let spec = json!({ "webhook": webhooks });
    let source = observed(&spec);
    assert_eq!(source.source.webhooks.len(), 17);
    let reported = reported(&source, Vec::new());
    assert!(
        reported.contains(
            "SourcesProvided=False InvalidEventSource spec.webhook.e16.port: 12016 is one port too many; the endpoints of \
             an EventSource may use 16 ports, and share each of them"
        ),
        "{reported}"
    );
}

#[test]
fn a_port_of_the_controller_is_refused_by_its_field_unless_there_is_a_service() {
    let mut source = observed(&json!({"webhook": {"push": {"port": 20077, "endpoint": "/push"}}}));
    let mut health = SourceHealth::default();
    health.served.closed.insert(20077, ClosedPort::Reserved);
    let first = |source: &Observed| {
        let report = report(source, &plan(source, now()), Some(&health), None, now());
        conditions(&report).lines().next().map(str::to_owned)
    };
    assert_eq!(
        first(&source).as_deref(),
        Some(
            "Deployed=False NotServed spec.webhook.push.port: 20077: the controller keeps ports 20000 to 29999 and those of \
             its own endpoints for itself; choose another port, or set spec.service, so that callers reach this EventSource \
             by its Service"
        )
    );
    Arc::make_mut(&mut source.source).service = true;
    let through = first(&source).expect("a condition");
    assert!(through.starts_with("Deployed=True  reachable through the Service only: spec.webhook"));
}

#[test]
fn a_port_that_several_namespaces_name_needs_a_service() {
    let mut source =
        observed(&json!({"webhook": {"push": hook()}, "service": {"ports": [{"port": 12000}]}}));
    let mut health = SourceHealth::default();
    health.served.closed.insert(12000, ClosedPort::Contested);
    let first = |source: &Observed| {
        let report = report(source, &plan(source, now()), Some(&health), None, now());
        conditions(&report)
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(
        first(&source),
        "Deployed=False NotServed port 12000: named by EventSources of several namespaces; set spec.service, \
         so that callers reach this EventSource by its Service"
    );
    Arc::make_mut(&mut source.source).service = true;
    assert!(
        first(&source).starts_with("Deployed=True  reachable through the Service only: port 12000")
    );
}
