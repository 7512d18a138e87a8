//! ReplicaSets whose controller lags behind: what they count may be about pods that are leaving.

use serde_json::json;

use super::cluster::Cluster;

/// An update of one pod that stands at the pause after its first weight.
fn paused_canary() -> Cluster {
    let steps = json!([{"setWeight": 50}, {"pause": {}}]);
    let mut cluster = Cluster::new(1, &json!({"canary": {"steps": steps}}));
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    assert_eq!(cluster.status().current_step_index, Some(1));
    cluster
}

#[test]
fn pods_that_are_leaving_complete_no_step() {
    let mut cluster = paused_canary();
    cluster.patch_status(&json!({"abort": true}));
    cluster.pass(None);
    assert_eq!(cluster.sizes()["v2"], 0);
    // The ReplicaSet controller has removed nothing yet when the person thinks again.
    assert_eq!(cluster.set_of("v2").available, 1);
    cluster.patch_status(&json!({"abort": false}));
    for _ in 0..3 {
        cluster.pass(None);
        assert_eq!(cluster.sizes()["v2"], 1);
        assert_eq!(
            cluster.status().current_step_index,
            Some(0),
            "{}",
            cluster.log
        );
    }
    cluster.run();
    assert_eq!(cluster.status().current_step_index, Some(1));
}

#[test]
fn a_version_is_not_promoted_by_pods_that_are_leaving() {
    let services = ["main", "next"];
    let strategy = json!({"blueGreen": {
        "activeService": "main", "previewService": "next", "autoPromotionEnabled": false, "abortScaleDownDelaySeconds": 1,
    }});
    let mut cluster = Cluster::new(2, &strategy).with_services(&services);
    cluster.run();
    cluster.set_image("v2");
    cluster.run();
    cluster.patch_status(&json!({"abort": true}));
    cluster.pass(None);
    cluster.advance(5);
    cluster.pass(None);
    assert_eq!(cluster.sizes()["v2"], 0, "{}", cluster.log);
    cluster.patch_status(&json!({"abort": false, "promoteFull": true}));
    let stable = cluster.set_of("v1").hash.clone();
    for _ in 0..3 {
        cluster.pass(None);
        assert_eq!(cluster.services["main"].hash.as_ref(), Some(&stable));
    }
    cluster.run();
    let newest = cluster.set_of("v2").hash.clone();
    assert_eq!(cluster.services["main"].hash, Some(newest));
}
