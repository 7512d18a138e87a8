//! Which objects ask for a pod, and what Deployment they get.

use serde_json::{Value, json};

use super::*;

const TEMPLATE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: x, labels: {app.kubernetes.io/name: events, app.kubernetes.io/component: worker}}
spec:
  replicas: 3
  selector: {matchLabels: {app.kubernetes.io/component: worker}}
  template:
    metadata: {labels: {app.kubernetes.io/name: events, app.kubernetes.io/component: worker, helm.sh/chart: events-1}}
    spec:
      serviceAccountName: events
      topologySpreadConstraints: [{topologyKey: zone}]
      containers:
        - {name: events, image: events:1, args: [worker, --shards=12, --loglevel=info]}
";

fn sensor(annotations: &Value, template: &Value) -> Root<Sensor> {
    let object = json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "Sensor",
        "metadata": {"namespace": "shop", "name": "orders", "uid": "u", "annotations": annotations},
        "spec": {"template": template},
    });
    Root::from_value(&object).expect("an object")
}

#[test]
fn placing_and_resources_ask_for_a_pod_and_an_annotation_decides() {
    let asks = |annotations: Value, template: Value| {
        PodWish::of(&sensor(&annotations, &template)).is_some()
    };
    let nowhere = || json!({});
    for template in [
        json!({"nodeSelector": {"disk": "ssd"}}),
        json!({"tolerations": [{"operator": "Exists"}]}),
        json!({"affinity": {"nodeAffinity": {}}}),
        json!({"container": {"resources": {"limits": {"memory": "1Gi"}}}}),
    ] {
        assert!(asks(nowhere(), template.clone()), "{template}");
        let kept = json!({DEDICATED: "false"});
        assert!(!asks(kept, template));
    }
    for template in [
        Value::Null,
        json!({"serviceAccountName": "a"}),
        json!({"nodeSelector": {}, "tolerations": [], "container": {"resources": {}, "env": [{"name": "A"}]}}),
    ] {
        assert!(!asks(nowhere(), template.clone()), "{template}");
        assert!(asks(json!({DEDICATED: "true"}), template));
    }
}

#[test]
fn a_deployment_takes_placing_and_resources_from_the_manifest_and_nothing_else() {
    let template = DedicatedTemplate::parse(TEMPLATE).expect("a template");
    let root = sensor(
        &json!({}),
        &json!({
            "serviceAccountName": "root-of-all", "priorityClassName": "system-node-critical",
            "volumes": [{"name": "v", "hostPath": {"path": "/"}}], "securityContext": {"runAsUser": 0},
            "container": {
                "image": "evil", "env": [{"name": "A", "value": "b"}], "securityContext": {"privileged": true},
                "volumeMounts": [{"name": "v", "mountPath": "/host"}], "resources": {"limits": {"cpu": "2"}},
            },
            "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "t"}], "affinity": {"nodeAffinity": {}},
        }),
    );
    let wish = PodWish::of(&root).expect("a pod");
    let object = DedicatedObject::of(&root);
    let made = template.deployment(&object, &wish, "ops");
    let id = object.id();
    assert_eq!(made["metadata"]["name"], format!("argo-events-only-{id}"));
    assert_eq!(made["metadata"]["namespace"], "ops");
    assert_eq!(made["spec"]["replicas"], 1);
    assert_eq!(
        made["spec"]["selector"],
        json!({"matchLabels": {LABEL: id}})
    );
    let labels = json!({
        "app.kubernetes.io/name": "events", "app.kubernetes.io/component": "dedicated",
        "app.kubernetes.io/managed-by": "argo-events", LABEL: id,
    });
    assert_eq!(made["spec"]["template"]["metadata"]["labels"], labels);
    assert_eq!(
        made["spec"]["template"]["spec"],
        json!({
            "serviceAccountName": "events",
            "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "t"}], "affinity": {"nodeAffinity": {}},
            "containers": [{
                "name": "events", "image": "events:1",
                "args": ["worker", "--loglevel=info", "--only=Sensor/shop/orders"],
                "resources": {"limits": {"cpu": "2"}},
            }],
        })
    );
    assert_eq!("Sensor/shop/orders".parse(), Ok(object.clone()));
    // Another wish, another hash; the same, the same.
    let hash =
        |made: &Value| made["metadata"]["annotations"]["events.argoproj.io/template-hash"].clone();
    assert_eq!(
        hash(&template.deployment(&object, &wish, "ops")),
        hash(&made)
    );
    assert_ne!(
        hash(&template.deployment(&object, &PodWish::default(), "ops")),
        hash(&made)
    );
}

#[test]
fn templates_and_names_of_objects_are_checked() {
    let refusal = |text: &str| DedicatedTemplate::parse(text).expect_err("refused");
    assert_eq!(refusal("kind: Pod"), "must hold a Deployment of apps/v1");
    let controller = TEMPLATE.replace("args: [worker", "args: [controller");
    assert_eq!(
        refusal(&controller),
        "its first container must run `events worker`"
    );
    for text in [
        "Sensor/shop",
        "EventBus/shop/default",
        "Sensor//x",
        "Sensor/a/b/c",
    ] {
        assert!(text.parse::<DedicatedObject>().is_err(), "{text}");
    }
}

#[test]
fn shared_processes_leave_an_object_to_its_pod_and_the_pod_leaves_it_when_none_is_asked_for() {
    let plain = sensor(&json!({}), &json!({}));
    let asking = sensor(&json!({DEDICATED: "true"}), &json!({}));
    let live = Index::new(|live: &LiveDeployment| vec![live.object.to_string()]);
    let shared = Dedicated::Shared(live.clone());
    assert_eq!(Dedicated::Off.elsewhere(&asking), None);
    assert_eq!(Dedicated::Only.elsewhere(&asking), None);
    assert_eq!(Dedicated::Only.elsewhere(&plain), Some(Elsewhere::Shared));
    assert_eq!(shared.elsewhere(&plain), None);
    assert!(matches!(
        shared.elsewhere(&asking),
        Some(Elsewhere::PodMissing(_))
    ));
    let object = DedicatedObject::of(&asking);
    let meta = kube::api::ObjectMeta {
        name: Some(object.deployment()),
        namespace: Some("ops".to_owned()),
        uid: Some("d".to_owned()),
        ..Default::default()
    };
    let there = LiveDeployment {
        object,
        hash: String::new(),
        available: true,
        uid: "d".to_owned(),
    };
    live.written(&meta, there);
    assert_eq!(shared.elsewhere(&asking), Some(Elsewhere::Pod));
}
