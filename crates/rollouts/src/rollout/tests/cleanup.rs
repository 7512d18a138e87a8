//! Routes are restored when a Rollout is deleted or names other ones.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::watch;

use super::routers::{NAMESPACE, RoutedRollout, world_with};
use crate::{api::rollout::Rollout, rollout::cleanup::Cleanup};

fn gateway(route: &str) -> Value {
    json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": route}}})
}

fn put_route(world: &RoutedRollout) {
    let backends = json!([{"name": "old", "weight": 70}, {"name": "new", "weight": 30}]);
    world.api.put(&json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "main", "namespace": NAMESPACE}, "spec": {"rules": [{"backendRefs": backends}]},
    }));
}

fn weights(world: &RoutedRollout) -> [i64; 2] {
    let route = world
        .api
        .get("httproutes", NAMESPACE, "main")
        .expect("the route");
    let backends = &route["spec"]["rules"][0]["backendRefs"];
    [0, 1].map(|index| backends[index]["weight"].as_i64().expect("a weight"))
}

/// Runs the task for one Rollout as it was before.
async fn clean_up(world: &RoutedRollout, former: Rollout) {
    let (_leads, leader) = watch::channel(true);
    let (task, sender) = Cleanup::new(world.effects.clone(), leader);
    sender
        .send(Arc::new(former))
        .await
        .expect("the task takes it");
    drop(sender);
    task.run().await;
}

/// The Rollout of the world with other traffic routing, as the controller knows it now.
fn know_with(world: &RoutedRollout, routing: &Value) {
    let mut object = world
        .api
        .get("rollouts", NAMESPACE, "web")
        .expect("the Rollout");
    object["spec"]["strategy"]["canary"]["trafficRouting"] = routing.clone();
    let root = Rollout::from_value(&object).expect("a Rollout");
    drop(
        world
            .effects
            .sources
            .roots
            .written(&root.metadata.clone(), root),
    );
}

#[tokio::test]
async fn routes_of_a_deleted_rollout_lead_to_the_stable_version() {
    let world = world_with(gateway("main"), &[]);
    put_route(&world);
    clean_up(&world, world.observed.root.clone()).await;
    assert_eq!(weights(&world), [100, 0]);
}

#[tokio::test]
async fn a_route_that_the_rollout_names_no_longer_leads_to_the_stable_version() {
    let world = world_with(gateway("main"), &[]);
    put_route(&world);
    know_with(&world, &gateway("other"));
    clean_up(&world, world.observed.root.clone()).await;
    assert_eq!(weights(&world), [100, 0]);
}

#[tokio::test]
async fn a_route_that_the_rollout_still_names_keeps_its_weight() {
    let world = world_with(gateway("main"), &[]);
    put_route(&world);
    know_with(&world, &gateway("main"));
    clean_up(&world, world.observed.root.clone()).await;
    assert_eq!(weights(&world), [70, 30]);
}
