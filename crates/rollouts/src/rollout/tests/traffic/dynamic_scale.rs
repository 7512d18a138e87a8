//! `dynamicStableScale`.

use serde_json::json;

use super::{strategy, weight, with_canary};
use crate::rollout::{tests::cluster::Cluster, traffic::RouteState};

#[test]
fn with_dynamic_scale_the_stable_version_shrinks_after_its_traffic() {
    let steps = json!([{"setWeight": 40}, {"pause": {}}, {"setWeight": 80}, {"pause": {}}]);
    let mut cluster = with_canary(10, &steps, &json!({"dynamicStableScale": true}));
    cluster.set_image("v2");
    cluster.settle();
    assert_eq!((weight(&cluster), cluster.sizes()["v1"]), (0, 10));
    cluster.run();
    assert_eq!(
        (
            weight(&cluster),
            cluster.sizes()["v1"],
            cluster.sizes()["v2"]
        ),
        (40, 6, 4)
    );
    cluster.promote();
    assert_eq!(
        (
            weight(&cluster),
            cluster.sizes()["v1"],
            cluster.sizes()["v2"]
        ),
        (80, 2, 8)
    );
    cluster.promote();
    assert_eq!(cluster.status().phase, "Healthy", "{}", cluster.log);
    assert_eq!((cluster.sizes()["v1"], cluster.sizes()["v2"]), (0, 10));
}

#[test]
fn with_dynamic_scale_an_abort_moves_traffic_as_stable_pods_come_back() {
    let steps = json!([{"setWeight": 80}, {"pause": {}}]);
    let mut cluster = with_canary(10, &steps, &json!({"dynamicStableScale": true}));
    cluster.set_image("v2");
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v1"]), (80, 2));
    cluster.patch_status(&json!({"abort": true}));
    cluster.settle();
    // Two pods serve 20 percent; the other eight are to come first.
    assert_eq!((weight(&cluster), cluster.sizes()["v1"]), (80, 10));
    let stable = cluster.set_of("v1").name.clone();
    for _ in 0..3 {
        cluster.make_or_remove_pod(&stable);
        cluster.make_ready(&stable);
    }
    cluster.count(&stable);
    cluster.settle();
    assert_eq!(
        (weight(&cluster), cluster.sizes()["v2"]),
        (50, 5),
        "{}",
        cluster.log
    );
    cluster.run();
    assert_eq!((weight(&cluster), cluster.sizes()["v2"]), (0, 0));
    assert_eq!(cluster.sizes()["v1"], 10);
}

#[test]
fn with_dynamic_scale_pods_that_may_be_leaving_get_no_more_traffic() {
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    let mut cluster = with_canary(4, &steps, &json!({"dynamicStableScale": true}));
    cluster.set_image("v2");
    cluster.settle();
    cluster.peers();
    cluster.settle();
    assert_eq!((weight(&cluster), cluster.sizes()["v1"]), (50, 2));
    // The update is given up before anybody knows whether two stable pods have gone.
    cluster.patch_status(&json!({"abort": true}));
    cluster.settle();
    assert_eq!((weight(&cluster), cluster.sizes()["v1"]), (50, 4));
    let stable = cluster.set_of("v1").name.clone();
    cluster.count(&stable);
    cluster.settle();
    assert_eq!(weight(&cluster), 0, "{}", cluster.log);
}

#[test]
fn with_dynamic_scale_a_way_back_keeps_the_canary_until_the_stable_version_is_whole() {
    let steps = json!([{"setWeight": 80}, {"pause": {}}]);
    let mut cluster = with_canary(10, &steps, &json!({"dynamicStableScale": true}));
    cluster.set_image("v2");
    cluster.run();
    let canary = cluster.set_of("v2").hash.clone();
    cluster.set_image("v1");
    cluster.settle();
    assert_eq!(weight(&cluster), 80, "{}", cluster.log);
    assert_eq!(cluster.services["new"].hash.as_ref(), Some(&canary));
    cluster.run();
    assert_eq!(
        (
            weight(&cluster),
            cluster.sizes()["v1"],
            cluster.sizes()["v2"]
        ),
        (0, 10, 0)
    );
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn with_dynamic_scale_a_first_version_is_the_stable_one_from_the_beginning() {
    let mut strategy = strategy(&json!([{"setWeight": 50}, {"pause": {}}]));
    strategy["canary"]["dynamicStableScale"] = true.into();
    let mut cluster = Cluster::new(4, &strategy).with_services(&["new", "old"]);
    // What a route without weights says.
    cluster.traffic = RouteState {
        weight: None,
        most: 100,
        ..RouteState::default()
    };
    cluster.settle();
    assert_eq!(weight(&cluster), 0, "{}", cluster.log);
    cluster.run();
    assert_eq!(weight(&cluster), 0, "{}", cluster.log);
}
