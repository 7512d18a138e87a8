//! Manifests that are invalid, and the messages about them.

#![expect(
    clippy::needless_pass_by_value,
    reason = "tables of literals read better without references"
)]

use serde_json::{Value, json};

use super::cluster::{Cluster, template};
use crate::{
    api::rollout::RolloutSpec,
    rollout::{check, observed::Step, plan::conditions::kind},
};

fn spec(strategy: Value) -> Value {
    json!({"selector": {"matchLabels": {"app": "web"}}, "template": template("v1"), "strategy": strategy})
}

fn refusal(spec: Value) -> String {
    let typed: RolloutSpec = serde_json::from_value(spec).expect("a spec");
    check(typed).expect_err("the spec is wrong").to_string()
}

fn canary(steps: Value) -> Value {
    spec(json!({"canary": {"steps": steps}}))
}

#[expect(clippy::too_many_lines, reason = "one table")]
#[test]
fn a_wrong_spec_is_reported_by_field() {
    let table = [
        (
            json!({"replicas": i32::MAX, "selector": {"matchLabels": {"app": "web"}}, "template": template("v1"), "strategy": {"canary": {}}}),
            "spec.replicas",
        ),
        (
            canary(json!([{"setWeight": 101}])),
            "spec.strategy.canary.steps[0].setWeight",
        ),
        (
            canary(json!([{"setWeight": 1, "pause": {}}])),
            "spec.strategy.canary.steps[0]",
        ),
        (canary(json!([{}])), "spec.strategy.canary.steps[0]"),
        (
            canary(json!([{"pause": {"duration": "soon"}}])),
            "spec.strategy.canary.steps[0].pause.duration",
        ),
        (
            canary(json!([{"pause": {"duration": -1}}])),
            "spec.strategy.canary.steps[0].pause.duration",
        ),
        (
            canary(json!([{"setWeight": 5}, {"experiment": {"templates": []}}])),
            "spec.strategy.canary.steps[1].experiment.templates: Required value: name at least one template",
        ),
        (
            canary(json!([{"setCanaryScale": {"weight": 5}}])),
            "spec.strategy.canary.steps[0].setCanaryScale: Invalid value: setCanaryScale can only be used",
        ),
        (
            spec(json!({"canary": {"trafficRouting": {"nginx": {}}}})),
            "spec.strategy.canary.trafficRouting.nginx: Invalid value: set either stableIngress or",
        ),
        (
            spec(json!({"canary": {"trafficRouting": {"appMesh": {}}}})),
            "spec.strategy.canary.trafficRouting.appMesh: AWS ended App Mesh",
        ),
        (
            spec(json!({"canary": {"trafficRouting": {"plugins": {"acme/router": {}}}}})),
            "spec.strategy.canary.trafficRouting.plugins[acme/router]: no such router is built in",
        ),
        (
            spec(json!({"canary": {"trafficRouting": {}}})),
            "spec.strategy.canary.trafficRouting: Required value",
        ),
        (
            spec(json!({"canary": {"trafficRouting": {"nginx": {"stableIngress": "i"}}}})),
            "spec.strategy.canary.canaryService: Required value",
        ),
        (
            spec(json!({"canary": {"maxSurge": 0, "maxUnavailable": "0%"}})),
            "spec.strategy.canary.maxUnavailable",
        ),
        (
            spec(json!({"canary": {"maxSurge": "many"}})),
            "spec.strategy.canary.maxSurge",
        ),
        (
            spec(json!({"canary": {"canaryService": "s", "stableService": "s"}})),
            "spec.strategy.canary.stableService",
        ),
        (
            spec(json!({"canary": {"scaleDownDelaySeconds": 30}})),
            "spec.strategy.canary.scaleDownDelaySeconds",
        ),
        (
            json!({"revisionHistoryLimit": 2, "selector": {"matchLabels": {"app": "web"}}, "template": template("v1"),
                "strategy": {"blueGreen": {"activeService": "s", "scaleDownDelayRevisionLimit": 3}}}),
            "spec.strategy.blueGreen.scaleDownDelayRevisionLimit",
        ),
        (
            spec(json!({"blueGreen": {}})),
            "spec.strategy.blueGreen.activeService",
        ),
        (
            spec(json!({"blueGreen": {"activeService": "s", "previewService": "s"}})),
            "spec.strategy.blueGreen.activeService",
        ),
        (spec(json!({})), "spec.strategy"),
        (
            spec(json!({"canary": {}, "blueGreen": {"activeService": "s"}})),
            "spec.strategy",
        ),
        (
            json!({"workloadRef": {"name": "d"}, "strategy": {"canary": {}}}),
            "spec.workloadRef",
        ),
        (
            json!({"selector": {"matchLabels": {"app": "other"}}, "template": template("v1"), "strategy": {"canary": {}}}),
            "spec.template.metadata.labels",
        ),
        (
            json!({"template": template("v1"), "strategy": {"canary": {}}}),
            "spec.selector",
        ),
    ];
    for (spec, path) in table {
        let text = refusal(spec);
        assert!(text.starts_with(path), "{text} should be about {path}");
    }
}

#[test]
fn pauses_are_numbers_texts_and_durations() {
    let typed: RolloutSpec = serde_json::from_value(canary(json!([
        {"pause": {"duration": 10}}, {"pause": {"duration": "10"}}, {"pause": {"duration": "5m"}}, {"pause": {"duration": "1h30m"}}, {"pause": {}}
    ])))
    .expect("a spec");
    let checked = check(typed).expect("a valid spec");
    let seconds: Vec<Option<i64>> = checked
        .canary()
        .expect("a canary")
        .steps
        .iter()
        .map(|step| match step {
            Step::Pause(duration) => duration.map(|duration| duration.as_secs()),
            other => panic!("{other} is no pause"),
        })
        .collect();
    assert_eq!(seconds, [Some(10), Some(10), Some(300), Some(5400), None]);
}

#[test]
fn a_missing_service_is_an_invalid_spec_and_heals() {
    let mut cluster = Cluster::new(1, &json!({"blueGreen": {"activeService": "main"}}));
    cluster.run();
    let status = cluster.status();
    assert_eq!(status.phase, "Degraded");
    assert!(
        status.message.contains("service \"main\" not found"),
        "{}",
        status.message
    );
    assert!(
        cluster.replica_sets.is_empty(),
        "nothing is created from an invalid manifest"
    );
    let mut cluster = cluster.with_services(&["main"]);
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
    assert!(
        cluster
            .status()
            .conditions
            .iter()
            .all(|condition| condition.kind != kind::INVALID_SPEC)
    );
}

#[test]
fn a_status_that_cannot_be_read_is_not_written_over() {
    let mut cluster = Cluster::new(1, &json!({"canary": {}}));
    cluster.run();
    cluster.root["status"]["currentStepIndex"] = "many".into();
    let before = cluster.root["status"].clone();
    assert_eq!(cluster.pass(None), (0, 0));
    assert_eq!(cluster.root["status"], before);
}

#[test]
fn a_service_of_another_rollout_is_refused_only_while_that_rollout_exists() {
    let mut cluster =
        Cluster::new(1, &json!({"blueGreen": {"activeService": "main"}})).with_services(&["main"]);
    cluster
        .services
        .get_mut("main")
        .expect("the Service")
        .managed_by = Some("gone".to_owned());
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
    assert_eq!(cluster.services["main"].managed_by.as_deref(), Some("web"));
}

#[test]
fn an_analysis_that_cannot_be_built_is_refused_before_anything_moves() {
    let analysis = |args: Value| json!({"canary": {"steps": [{"setWeight": 50}, {"analysis": {"templates": [{"templateName": "needy"}], "args": args}}]}});
    let mut cluster = Cluster::new(1, &analysis(json!([])));
    cluster.run();
    let text = cluster.status().message;
    assert!(
        text.contains("steps[1].analysis.templates: Invalid value: args.must was not resolved"),
        "{text}"
    );
    assert!(cluster.replica_sets.is_empty());
    cluster.edit(|spec| spec["strategy"] = analysis(json!([{"name": "must", "value": "x"}])));
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn a_service_that_selects_other_pods_is_refused() {
    let mut cluster =
        Cluster::new(1, &json!({"blueGreen": {"activeService": "main"}})).with_services(&["main"]);
    let select = |cluster: &mut Cluster, app: &str| {
        let service = cluster.services.get_mut("main").expect("the Service");
        service.selector = [("app".into(), app.into())].into();
    };
    select(&mut cluster, "other");
    cluster.run();
    let text = cluster.status().message;
    assert!(
        text.contains("activeService: Invalid value: \"main\": Service \"main\" selects app=other"),
        "{text}"
    );
    assert!(cluster.replica_sets.is_empty());
    select(&mut cluster, "web");
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn an_analysis_that_never_ends_is_refused_where_something_waits_for_it() {
    let named = json!({"templates": [{"templateName": "endless"}]});
    let step = json!({"canary": {"steps": [{"setWeight": 50}, {"analysis": named}]}});
    let mut cluster = Cluster::new(1, &step);
    cluster.run();
    let text = cluster.status().message;
    assert!(
        text.contains(
            "steps[1].analysis.templates: Invalid value: metric 'm' has an interval and no count"
        ),
        "{text}"
    );
    let beside = json!({"canary": {"analysis": named, "steps": [{"setWeight": 50}]}});
    cluster.edit(|spec| spec["strategy"] = beside);
    cluster.run();
    assert_eq!(cluster.status().phase, "Healthy");
}

#[test]
fn a_bad_quantity_is_refused_by_its_field() {
    let with = |path: &str, value: Value| {
        let mut spec = spec(json!({"canary": {}}));
        let pod = &mut spec["template"]["spec"];
        pod["containers"][0]["resources"] = json!({"limits": {}, "requests": {}});
        pod["initContainers"] = json!([{"name": "i", "resources": {"limits": {}}}]);
        pod["volumes"] = json!([{"name": "v", "emptyDir": {"sizeLimit": "1Gi"}}]);
        pod["overhead"] = json!({});
        let (parent, name) = path.rsplit_once('/').expect("a path");
        pod.pointer_mut(parent).expect("the parent")[name] = value;
        spec
    };
    for (path, at) in [
        (
            "/containers/0/resources/limits/cpu",
            "containers[0].resources.limits.cpu",
        ),
        (
            "/containers/0/resources/requests/memory",
            "containers[0].resources.requests.memory",
        ),
        (
            "/initContainers/0/resources/limits/cpu",
            "initContainers[0].resources.limits.cpu",
        ),
        (
            "/volumes/0/emptyDir/sizeLimit",
            "volumes[0].emptyDir.sizeLimit",
        ),
        ("/overhead/cpu", "overhead.cpu"),
    ] {
        let error = refusal(with(path, json!("lots")));
        let expected = format!("spec.template.spec.{at}: Invalid value: \"lots\": ");
        assert!(error.starts_with(&expected), "{error}");
        assert!(error.contains("for example to 500m or 1Gi"), "{error}");
        for good in [
            json!("500m"),
            json!("1.5Gi"),
            json!(2),
            json!(0.5),
            json!("1e3"),
        ] {
            let typed: RolloutSpec = serde_json::from_value(with(path, good)).expect("a spec");
            check(typed).expect("a quantity");
        }
    }
}
