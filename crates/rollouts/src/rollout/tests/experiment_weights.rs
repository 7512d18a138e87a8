//! Shares of the traffic that templates of an Experiment get.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{
    cluster::Cluster,
    routers::{NAMESPACE, RoutedRollout, world_with},
};
use crate::{
    api::analysis::AnalysisPhase,
    experiment::view::ExperimentView,
    rollout::traffic::{ExtraWeight, RouteGoal},
};

fn step(weights: [i32; 2]) -> Value {
    json!({"experiment": {"duration": "5m", "templates": [
        {"name": "a", "specRef": "stable", "weight": weights[0]},
        {"name": "b", "specRef": "canary", "weight": weights[1]},
    ]}})
}

fn strategy(routing: &Value, steps: &Value) -> Value {
    json!({"canary": {
        "canaryService": "new", "stableService": "old", "steps": steps, "trafficRouting": routing,
    }})
}

fn gateway() -> Value {
    json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "main"}}})
}

fn refusal(routing: &Value, steps: &Value) -> Option<String> {
    let cluster = Cluster::new(1, &strategy(routing, steps)).with_services(&["new", "old"]);
    cluster.observe().err().map(|error| error.to_string())
}

#[test]
fn routers_that_split_between_two_versions_only_are_named() {
    let steps = json!([{"setWeight": 20}, step([5, 5])]);
    for (routing, takes) in [
        (gateway(), true),
        (json!({"smi": {}}), true),
        (json!({"istio": {"virtualService": {"name": "vs"}}}), true),
        (json!({"alb": {"ingress": "main", "servicePort": 80}}), true),
        (json!({"nginx": {"stableIngress": "main"}}), false),
        (
            json!({"traefik": {"weightedTraefikServiceName": "main"}}),
            false,
        ),
        (
            json!({"smi": {}, "nginx": {"stableIngress": "main"}}),
            false,
        ),
    ] {
        let error = refusal(&routing, &steps);
        assert_eq!(error.is_none(), takes, "{routing}: {error:?}");
        if let Some(error) = error {
            assert!(
                error.contains("steps[1].experiment.templates[0].weight")
                    && error.contains("alb, smi, istio"),
                "{error}"
            );
        }
    }
}

#[test]
fn shares_leave_room_for_both_versions() {
    for (weights, wrong) in [
        ([40, 40], None),
        ([40, 41], Some("81: together with setWeight 20")),
        ([-1, 5], Some("must be between 0 and 100")),
        ([101, 5], Some("must be between 0 and 100")),
    ] {
        let error = refusal(&gateway(), &json!([{"setWeight": 20}, step(weights)]));
        match wrong {
            None => assert_eq!(error, None),
            Some(wrong) => assert!(
                error.as_deref().is_some_and(|error| error.contains(wrong)),
                "{error:?}"
            ),
        }
    }
}

#[test]
fn templates_get_their_shares_while_all_of_them_run() {
    let steps = json!([{"setWeight": 20}, step([10, 5]), {"pause": {}}]);
    let mut cluster = Cluster::new(5, &strategy(&gateway(), &steps)).with_services(&["new", "old"]);
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    let name = cluster
        .experiments
        .keys()
        .next()
        .cloned()
        .expect("an Experiment");
    let view = cluster.experiments.get_mut(&name).expect("it is there");
    view.phase = AnalysisPhase::Pending;
    view.services = ["a", "b"]
        .map(|template| {
            (
                template.to_owned(),
                format!("{name}-{template}"),
                format!("hash-{template}"),
            )
        })
        .into();
    cluster.run();
    assert!(cluster.traffic.extra.is_empty(), "not all pods are there");
    cluster
        .experiments
        .get_mut(&name)
        .expect("it is there")
        .phase = AnalysisPhase::Running;
    cluster.run();
    assert_eq!(cluster.traffic.weight, Some(20), "{}", cluster.log);
    assert_eq!(
        cluster.traffic.extra,
        [(format!("{name}-a"), 10), (format!("{name}-b"), 5)].into()
    );
    let weights = cluster.status().canary.weights.expect("weights");
    assert_eq!(weights["stable"]["weight"], 65);
    assert_eq!(
        weights["additional"],
        json!([
            {"weight": 10, "serviceName": format!("{name}-a"), "podTemplateHash": "hash-a"},
            {"weight": 5, "serviceName": format!("{name}-b"), "podTemplateHash": "hash-b"},
        ])
    );
    assert_eq!(cluster.pass(None), (0, 0), "the routes are written once");
    cluster.end_experiment(&name, AnalysisPhase::Successful);
    cluster.run();
    assert!(cluster.traffic.extra.is_empty(), "{}", cluster.log);
    let weights = cluster.status().canary.weights.expect("weights");
    assert_eq!(
        (&weights["stable"]["weight"], &weights["additional"]),
        (&json!(80), &Value::Null)
    );
}

#[test]
fn an_abort_takes_the_shares_back() {
    let steps = json!([{"setWeight": 20}, step([10, 5]), {"pause": {}}]);
    let mut cluster = Cluster::new(5, &strategy(&gateway(), &steps)).with_services(&["new", "old"]);
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    let view = cluster
        .experiments
        .values_mut()
        .next()
        .expect("an Experiment");
    view.services = vec![("a".to_owned(), "s".to_owned(), "h".to_owned())];
    cluster.run();
    assert_eq!(cluster.traffic.extra.len(), 1, "{}", cluster.log);
    cluster.patch_status(&json!({"abort": true}));
    cluster.run();
    assert!(cluster.traffic.extra.is_empty(), "{}", cluster.log);
    assert_eq!(cluster.traffic.weight, Some(0));
}

fn goal(weight: i32) -> RouteGoal {
    RouteGoal {
        weight,
        extra: vec![ExtraWeight {
            service: "web-a".to_owned(),
            hash: "h".to_owned(),
            weight: 15,
        }],
        ..RouteGoal::default()
    }
}

/// Writes a goal with a share, reads it back, writes it again without a request, and then one without.
async fn check(
    mut world: RoutedRollout,
    destinations: impl Fn(&RoutedRollout) -> Vec<(String, i64)>,
) {
    let named = |list: &[(&str, i64)]| -> Vec<(String, i64)> {
        list.iter()
            .map(|(name, weight)| ((*name).to_owned(), *weight))
            .collect()
    };
    world.observed.experiments.push(Arc::new(ExperimentView {
        services: vec![("a".to_owned(), "web-a".to_owned(), "h".to_owned())],
        ..ExperimentView::default()
    }));
    world.write(goal(20)).await;
    let sorted = |world: &RoutedRollout| {
        let mut all = destinations(world);
        all.sort();
        all
    };
    assert_eq!(
        sorted(&world),
        named(&[("new", 20), ("old", 65), ("web-a", 15)])
    );
    assert_eq!(world.look().await, Ok((Some(20), None)));
    let state = world.observed.traffic.clone().expect("routing");
    assert_eq!(state.extra, [("web-a".to_owned(), 15)].into());
    world.api.clear_requests();
    world.write(goal(20)).await;
    assert_eq!(world.api.writes(), Vec::<String>::new(), "the same again");
    world.route(30).await;
    assert_eq!(sorted(&world), named(&[("new", 30), ("old", 70)]));
    assert_eq!(world.look().await, Ok((Some(30), None)));
}

fn pairs(list: &Value, name: &str, weight: &str) -> Vec<(String, i64)> {
    let list = list.as_array().expect("a list").iter();
    list.map(|one| {
        let name = one.pointer(name).and_then(Value::as_str).expect("a name");
        let weight = one
            .pointer(weight)
            .and_then(Value::as_i64)
            .expect("a weight");
        (name.to_owned(), weight)
    })
    .collect()
}

#[tokio::test]
async fn a_traffic_split_of_smi_gets_another_backend() {
    let kind = (
        "split.smi-spec.io",
        "v1alpha2",
        "TrafficSplit",
        "trafficsplits",
    );
    check(world_with(json!({"smi": {}}), &[kind]), |world| {
        let split = world.api.get("trafficsplits", NAMESPACE, "web");
        pairs(
            &split.expect("the split")["spec"]["backends"],
            "/service",
            "/weight",
        )
    })
    .await;
}

#[tokio::test]
async fn an_action_of_alb_gets_another_target_group() {
    let world = world_with(json!({"alb": {"ingress": "main", "servicePort": 80}}), &[]);
    world.api.put(&json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "main", "namespace": NAMESPACE},
        "spec": {"rules": [{"http": {"paths": [{"path": "/", "pathType": "Prefix",
            "backend": {"service": {"name": "old", "port": {"name": "use-annotation"}}}}]}}]},
    }));
    check(world, |world| {
        let ingress = world
            .api
            .get("ingresses", NAMESPACE, "main")
            .expect("the Ingress");
        let action = &ingress["metadata"]["annotations"]["alb.ingress.kubernetes.io/actions.old"];
        let action: Value =
            serde_json::from_str(action.as_str().expect("an action")).expect("JSON");
        pairs(
            &action["ForwardConfig"]["TargetGroups"],
            "/ServiceName",
            "/Weight",
        )
    })
    .await;
}

#[tokio::test]
async fn a_virtual_service_gets_another_destination() {
    let kind = (
        "networking.istio.io",
        "v1alpha3",
        "VirtualService",
        "virtualservices",
    );
    let world = world_with(
        json!({"istio": {"virtualService": {"name": "main"}}}),
        &[kind],
    );
    world.api.put(&json!({
        "apiVersion": "networking.istio.io/v1alpha3", "kind": "VirtualService",
        "metadata": {"name": "main", "namespace": NAMESPACE},
        "spec": {"http": [{"route": [
            {"destination": {"host": "old"}, "weight": 100},
            {"destination": {"host": "new", "port": {"number": 80}}, "weight": 0},
        ]}]},
    }));
    check(world, |world| {
        let service = world
            .api
            .get("virtualservices", NAMESPACE, "main")
            .expect("the VirtualService");
        pairs(
            &service["spec"]["http"][0]["route"],
            "/destination/host",
            "/weight",
        )
    })
    .await;
}

#[tokio::test]
async fn a_route_of_the_gateway_api_gets_another_backend() {
    let world = world_with(gateway(), &[]);
    world.api.put(&json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "main", "namespace": NAMESPACE},
        "spec": {"rules": [{"backendRefs": [{"name": "old", "port": 80}, {"name": "new", "port": 80}]}]},
    }));
    check(world, |world| {
        let route = world
            .api
            .get("httproutes", NAMESPACE, "main")
            .expect("the route");
        pairs(
            &route["spec"]["rules"][0]["backendRefs"],
            "/name",
            "/weight",
        )
    })
    .await;
}
