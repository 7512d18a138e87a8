//! Routers with objects of their own kinds: the exact objects that they write, and what is left after them.

use serde_json::{Value, json};

use super::routers::{NAMESPACE, RoutedRollout, set, world_with};
use crate::rollout::traffic::{self, RouteGoal};

/// Writes a weight, reads it back, writes it again without a request, and gives everything back.
async fn check_weight(world: &mut RoutedRollout, weight: i32) {
    world.route(weight).await;
    assert_eq!(world.look().await, Ok((Some(weight), None)));
    world.api.clear_requests();
    world.route(weight).await;
    assert_eq!(world.api.writes(), Vec::<String>::new(), "the same again");
}

fn get(world: &RoutedRollout, plural: &str, name: &str) -> Value {
    let found = world.api.get(plural, NAMESPACE, name);
    found.unwrap_or_else(|| panic!("{plural} {name} is there"))
}

#[tokio::test]
async fn traefik_gets_the_weights_of_its_service() {
    let routing = json!({"traefik": {"weightedTraefikServiceName": "split"}});
    let mut world = world_with(
        routing,
        &[(
            "traefik.io",
            "v1alpha1",
            "TraefikService",
            "traefikservices",
        )],
    );
    let text = world.look().await.expect_err("there is none");
    assert!(
        text.contains("TraefikService \"split\" not found"),
        "{text}"
    );
    world.api.put(&json!({
        "apiVersion": "traefik.io/v1alpha1", "kind": "TraefikService",
        "metadata": {"name": "split", "namespace": NAMESPACE},
        "spec": {"weighted": {"sticky": {"cookie": {}}, "services": [{"name": "old", "port": 80}, {"name": "new", "port": 80}]}},
    }));
    check_weight(&mut world, 30).await;
    let spec = get(&world, "traefikservices", "split")["spec"].clone();
    assert_eq!(
        spec,
        json!({"weighted": {"sticky": {"cookie": {}}, "services": [
            {"name": "old", "port": 80, "weight": 70}, {"name": "new", "port": 80, "weight": 30},
        ]}})
    );
    world.clear().await;
    assert_eq!(world.look().await, Ok((Some(0), None)));
}

#[tokio::test]
async fn smi_has_a_split_that_goes_with_the_rollout() {
    let routing = json!({"smi": {"rootService": "root"}});
    let kind = (
        "split.smi-spec.io",
        "v1alpha2",
        "TrafficSplit",
        "trafficsplits",
    );
    let mut world = world_with(routing, &[kind]);
    assert_eq!(world.look().await, Ok((Some(0), None)));
    check_weight(&mut world, 25).await;
    let split = get(&world, "trafficsplits", "web");
    assert_eq!(
        split["spec"],
        json!({"service": "root", "backends": [
            {"service": "new", "weight": 25}, {"service": "old", "weight": 75},
        ]})
    );
    assert_eq!(split["metadata"]["ownerReferences"][0]["name"], "web");
    world.clear().await;
    assert!(world.api.get("trafficsplits", NAMESPACE, "web").is_none());
}

#[tokio::test]
async fn smi_leaves_the_split_of_somebody_else_alone() {
    let kind = (
        "split.smi-spec.io",
        "v1alpha2",
        "TrafficSplit",
        "trafficsplits",
    );
    let mut world = world_with(json!({"smi": {"trafficSplitName": "theirs"}}), &[kind]);
    world.api.put(&json!({
        "apiVersion": "split.smi-spec.io/v1alpha2", "kind": "TrafficSplit",
        "metadata": {"name": "theirs", "namespace": NAMESPACE}, "spec": {"service": "old", "backends": []},
    }));
    let text = world.look().await.expect_err("it belongs to somebody else");
    assert!(text.contains("belongs to somebody else"), "{text}");
}

#[tokio::test]
async fn ambassador_has_a_second_mapping_while_there_is_a_weight() {
    let routing = json!({"ambassador": {"mappings": ["main"]}});
    let kind = ("getambassador.io", "v2", "Mapping", "mappings");
    let mut world = world_with(routing, &[kind]);
    let text = world.look().await.expect_err("there is none");
    assert!(text.contains("Mapping \"main\" not found"), "{text}");
    world.api.put(&json!({
        "apiVersion": "getambassador.io/v2", "kind": "Mapping",
        "metadata": {"name": "main", "namespace": NAMESPACE}, "spec": {"prefix": "/", "service": "old:8080"},
    }));
    check_weight(&mut world, 40).await;
    assert_eq!(
        get(&world, "mappings", "main-canary")["spec"],
        json!({"prefix": "/", "service": "new:8080", "weight": 40})
    );
    check_weight(&mut world, 60).await;
    world.route(0).await;
    assert!(
        world
            .api
            .get("mappings", NAMESPACE, "main-canary")
            .is_none()
    );
    assert_eq!(world.look().await, Ok((Some(0), None)));
}

#[tokio::test]
async fn apisix_has_one_more_route_for_each_header_route() {
    let routing = json!({
        "apisix": {"route": {"name": "main", "rules": ["all"]}}, "managedRoutes": [{"name": "beta"}],
    });
    let kind = ("apisix.apache.org", "v2", "ApisixRoute", "apisixroutes");
    let mut world = world_with(routing, &[kind]);
    let backends = json!([{"serviceName": "old", "servicePort": 80}, {"serviceName": "new", "servicePort": 80}]);
    world.api.put(&json!({
        "apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "metadata": {"name": "main", "namespace": NAMESPACE},
        "spec": {"http": [{"name": "all", "match": {"paths": ["/*"]}, "backends": backends}, {"name": "other"}]},
    }));
    check_weight(&mut world, 35).await;
    let rules = get(&world, "apisixroutes", "main")["spec"]["http"].clone();
    assert_eq!(
        (
            &rules[0]["backends"][0]["weight"],
            &rules[0]["backends"][1]["weight"]
        ),
        (&json!(65), &json!(35))
    );
    assert_eq!(rules[1], json!({"name": "other"}));
    let header = json!({"name": "beta", "match": [{"headerName": "x-beta", "headerValue": {"exact": "yes"}}]});
    let goal = RouteGoal {
        weight: 35,
        managed: vec![set(traffic::header_step("a", &header))],
        ..RouteGoal::default()
    };
    world.write(goal.clone()).await;
    let route = get(&world, "apisixroutes", "beta");
    assert_eq!(
        route["spec"]["http"],
        json!([{
            "name": "all", "priority": 1, "backends": [{"serviceName": "new", "servicePort": 80, "weight": 100}],
            "match": {"paths": ["/*"], "exprs": [{"subject": {"scope": "Header", "name": "x-beta"}, "op": "Equal", "value": "yes"}]},
        }])
    );
    assert_eq!(route["metadata"]["ownerReferences"][0]["name"], "web");
    world.look().await.expect("a state");
    assert_eq!(
        world.observed.traffic.clone().expect("routing").managed,
        ["beta"]
    );
    world.api.clear_requests();
    world.write(goal).await;
    assert_eq!(world.api.writes(), Vec::<String>::new());
    world.clear().await;
    assert!(world.api.get("apisixroutes", NAMESPACE, "beta").is_none());
    assert_eq!(world.look().await, Ok((Some(0), None)));
}
