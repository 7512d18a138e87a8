//! Istio: what is written into VirtualServices and in a DestinationRule.

use serde_json::{Value, json};

use super::routers::{NAMESPACE, RoutedRollout, set, world_with};
use crate::rollout::traffic::{self, RouteGoal, RouteHashes};

const KINDS: [(&str, &str, &str, &str); 2] = [
    (
        "networking.istio.io",
        "v1alpha3",
        "VirtualService",
        "virtualservices",
    ),
    (
        "networking.istio.io",
        "v1alpha3",
        "DestinationRule",
        "destinationrules",
    ),
];

fn put(world: &RoutedRollout, kind: &str, name: &str, spec: &Value) {
    world.api.put(&json!({
        "apiVersion": "networking.istio.io/v1alpha3", "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
    }));
}

fn get(world: &RoutedRollout, plural: &str, name: &str) -> Value {
    world.api.get(plural, NAMESPACE, name).expect("the object")
}

fn both() -> Value {
    json!([{"destination": {"host": "old"}, "weight": 100}, {"destination": {"host": "new.ns.svc.cluster.local"}, "weight": 0}])
}

fn weights(route: &Value) -> Vec<i64> {
    let destinations = route["route"].as_array().expect("destinations");
    let weights = destinations.iter().map(|one| one["weight"].as_i64());
    weights.map(|weight| weight.expect("a weight")).collect()
}

#[tokio::test]
async fn http_tls_and_tcp_routes_of_several_services_get_the_weight() {
    let routing = json!({"istio": {"virtualServices": [
        {"name": "one", "routes": ["main"], "tlsRoutes": [{"port": 443, "sniHosts": ["a.example.com"]}], "tcpRoutes": [{"port": 5432}]},
        {"name": "two"},
    ]}});
    let mut world = world_with(routing, &KINDS);
    let text = world.look().await.expect_err("there is none");
    assert!(text.contains("VirtualService \"one\" not found"), "{text}");
    let other = json!({"name": "other", "route": [{"destination": {"host": "x"}}]});
    put(
        &world,
        "VirtualService",
        "one",
        &json!({
            "hosts": ["a"],
            "http": [other, {"name": "main", "route": both()}],
            "tls": [{"match": [{"port": 443, "sniHosts": ["a.example.com"]}], "route": both()}],
            "tcp": [{"match": [{"port": 1}], "route": both()}, {"match": [{"port": 5432}], "route": both()}],
        }),
    );
    put(
        &world,
        "VirtualService",
        "two",
        &json!({"http": [{"route": both()}]}),
    );
    assert_eq!(world.look().await, Ok((Some(0), None)));
    world.route(20).await;
    assert_eq!(world.look().await, Ok((Some(20), None)));
    let spec = get(&world, "virtualservices", "one")["spec"].clone();
    assert_eq!(spec["http"][0], other, "other routes are left alone");
    for route in [&spec["http"][1], &spec["tls"][0], &spec["tcp"][1]] {
        assert_eq!(weights(route), [80, 20]);
    }
    assert_eq!(weights(&spec["tcp"][0]), [100, 0]);
    assert_eq!(
        weights(&get(&world, "virtualservices", "two")["spec"]["http"][0]),
        [80, 20]
    );
    world.api.clear_requests();
    world.route(20).await;
    assert_eq!(world.api.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_named_route_that_is_missing_is_reported() {
    let routing = json!({"istio": {"virtualService": {"name": "one", "routes": ["main"]}}});
    let mut world = world_with(routing, &KINDS);
    put(
        &world,
        "VirtualService",
        "one",
        &json!({"http": [{"name": "x", "route": both()}]}),
    );
    let text = world.look().await.expect_err("there is no such route");
    assert!(text.contains("has no HTTP route main"), "{text}");
}

fn subset(name: &str) -> Value {
    json!({"name": name, "labels": {"app": "web"}})
}

#[tokio::test]
async fn subsets_select_the_versions_before_weights_lead_to_them() {
    let routing = json!({"istio": {
        "virtualService": {"name": "one"},
        "destinationRule": {"name": "rule", "canarySubsetName": "c", "stableSubsetName": "s", "additionalSubsetNames": ["extra"]},
    }});
    let mut world = world_with(routing, &KINDS);
    let destination = |subset: &str, weight: i32| json!({"destination": {"host": "web", "subset": subset}, "weight": weight});
    let routes = json!([
        destination("s", 90),
        destination("c", 0),
        destination("extra", 10),
        destination("unknown", 0)
    ]);
    put(
        &world,
        "VirtualService",
        "one",
        &json!({"http": [{"route": routes}]}),
    );
    let subsets = json!([subset("s"), subset("c"), subset("extra")]);
    put(
        &world,
        "DestinationRule",
        "rule",
        &json!({"host": "web", "subsets": subsets}),
    );
    world.api.clear_requests();
    world
        .write(RouteGoal {
            weight: 30,
            hashes: RouteHashes {
                canary: Some("h2".to_owned()),
                stable: Some("h1".to_owned()),
            },
            ..RouteGoal::default()
        })
        .await;
    let writes = world.api.writes();
    assert!(writes[0].contains("destinationrules"), "{writes:?}");
    let rule = get(&world, "destinationrules", "rule");
    let selected = |index: usize| rule["spec"]["subsets"][index]["labels"].clone();
    assert_eq!(
        selected(0),
        json!({"app": "web", "rollouts-pod-template-hash": "h1"})
    );
    assert_eq!(
        selected(1),
        json!({"app": "web", "rollouts-pod-template-hash": "h2"})
    );
    assert_eq!(selected(2), json!({"app": "web"}), "other subsets stay");
    let route = get(&world, "virtualservices", "one")["spec"]["http"][0].clone();
    assert_eq!(weights(&route), [60, 30, 10], "an unknown destination goes");
    world.look().await.expect("a state");
    let state = world.observed.traffic.clone().expect("routing");
    assert_eq!(
        state.hashes.and_then(|hashes| hashes.canary).as_deref(),
        Some("h2")
    );
    world.clear().await;
    let rule = get(&world, "destinationrules", "rule");
    assert_eq!(rule["spec"]["subsets"], subsets);
    assert_eq!(
        rule["metadata"]["annotations"].get("argo-rollouts.argoproj.io/managed-by-rollouts"),
        None
    );
}

#[tokio::test]
async fn header_and_mirror_routes_stand_in_front_and_go_again() {
    let routing = json!({
        "istio": {"virtualService": {"name": "one"}}, "managedRoutes": [{"name": "beta"}, {"name": "shadow"}],
    });
    let mut world = world_with(routing, &KINDS);
    put(
        &world,
        "VirtualService",
        "one",
        &json!({"http": [{"route": both()}]}),
    );
    let header = json!({"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"prefix": "y"}}]});
    let mirror = json!({"name": "shadow", "match": [{"path": {"prefix": "/a"}}], "percentage": 30});
    let goal = RouteGoal {
        weight: 10,
        managed: vec![
            set(traffic::header_step("a", &header)),
            set(traffic::mirror_step("b", &mirror)),
        ],
        ..RouteGoal::default()
    };
    world.write(goal.clone()).await;
    let http = get(&world, "virtualservices", "one")["spec"]["http"].clone();
    assert_eq!(
        http[0],
        json!({
            "name": "beta", "match": [{"headers": {"x-beta": {"prefix": "y"}}}],
            "route": [{"destination": {"host": "new.ns.svc.cluster.local"}, "weight": 100}],
        })
    );
    assert_eq!(http[1]["match"], json!([{"uri": {"prefix": "/a"}}]));
    assert_eq!(
        http[1]["mirror"],
        json!({"host": "new.ns.svc.cluster.local"})
    );
    assert_eq!(http[1]["mirrorPercentage"], json!({"value": 30}));
    assert_eq!(weights(&http[1]), [90, 10]);
    assert_eq!(world.look().await, Ok((Some(10), None)));
    let state = world.observed.traffic.clone().expect("routing");
    assert_eq!(state.managed, ["beta", "shadow"]);
    world.api.clear_requests();
    world.write(goal).await;
    assert_eq!(world.api.writes(), Vec::<String>::new());
    world.clear().await;
    let http = get(&world, "virtualservices", "one")["spec"]["http"].clone();
    assert_eq!(http, json!([{"route": both()}]));
}
