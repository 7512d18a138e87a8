use serde_json::{Value, json};

use crate::{
    api::rollout::CanaryStep,
    rollout::plan::hash::{ComparedTemplate, step_hash, template_digest},
};

fn written() -> Value {
    json!({
        "metadata": {"labels": {"app": "a"}, "creationTimestamp": null},
        "spec": {
            "serviceAccountName": "sa",
            "containers": [{
                "name": "c", "image": "registry:5000/app",
                "ports": [{"containerPort": 80, "hostPort": 0}],
                "env": [{"name": "E", "value": ""}, {"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
                "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                "readinessProbe": {"httpGet": {"port": 80}},
                "lifecycle": {"preStop": {"httpGet": {"port": 80}}}
            }],
            "volumes": [
                {"name": "a", "emptyDir": {}}, {"name": "b"}, {"name": "s", "secret": {"secretName": "x"}},
                {"name": "p", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
                {"name": "e", "ephemeral": {"volumeClaimTemplate": {"spec": {"resources": {"requests": {"storage": "1024Mi"}}}}}},
                {"name": "r", "rbd": {"monitors": ["m"], "image": "i"}},
                {"name": "z", "azureDisk": {"diskName": "d", "diskURI": "u"}}, {"name": "i", "iscsi": {"iqn": "q", "lun": 0}},
                {"name": "o", "scaleIO": {"gateway": "g", "system": "s"}},
                {"name": "d", "downwardAPI": {"items": [{"path": "x", "resourceFieldRef": {"resource": "limits.memory", "divisor": "1024Ki"}}]}}
            ]
        }
    })
}

/// The same as the API server gives it back, in a ReplicaSet.
fn stored() -> Value {
    json!({
        "metadata": {"labels": {"app": "a", "rollouts-pod-template-hash": "xyz"}, "creationTimestamp": null},
        "spec": {
            "serviceAccountName": "sa", "serviceAccount": "sa",
            "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", "terminationGracePeriodSeconds": 30,
            "schedulerName": "default-scheduler", "securityContext": {},
            "containers": [{
                "name": "c", "image": "registry:5000/app", "imagePullPolicy": "Always",
                "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                "ports": [{"containerPort": 80, "protocol": "TCP"}],
                "env": [{"name": "E"}, {"name": "N", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}],
                "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}},
                "readinessProbe": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3},
                "lifecycle": {"preStop": {"httpGet": {"port": 80, "path": "/", "scheme": "HTTP"}}}
            }],
            "volumes": [
                {"name": "a", "emptyDir": {}}, {"name": "b", "emptyDir": {}}, {"name": "s", "secret": {"secretName": "x", "defaultMode": 420}},
                {"name": "p", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 3600}}]}},
                {"name": "e", "ephemeral": {"volumeClaimTemplate": {"metadata": {"creationTimestamp": null}, "spec": {"resources": {"requests": {"storage": "1Gi"}}, "volumeMode": "Filesystem"}}}},
                {"name": "r", "rbd": {"monitors": ["m"], "image": "i", "pool": "rbd", "user": "admin", "keyring": "/etc/ceph/keyring"}},
                {"name": "z", "azureDisk": {"diskName": "d", "diskURI": "u", "cachingMode": "ReadWrite", "fsType": "ext4", "kind": "Shared", "readOnly": false}},
                {"name": "i", "iscsi": {"iqn": "q", "lun": 0, "iscsiInterface": "default"}},
                {"name": "o", "scaleIO": {"gateway": "g", "system": "s", "storageMode": "ThinProvisioned", "fsType": "xfs"}},
                {"name": "d", "downwardAPI": {"defaultMode": 420, "items": [{"path": "x", "resourceFieldRef": {"resource": "limits.memory", "divisor": "1Mi"}}]}}
            ]
        }
    })
}

#[test]
fn a_template_equals_itself_with_the_servers_defaults() {
    assert_eq!(template_digest(&written()), template_digest(&stored()));
}

#[test]
fn what_matters_makes_another_template() {
    let same = template_digest(&written());
    let changes: [(&str, Value); 6] = [
        ("/spec/containers/0/image", json!("registry:5000/app:1")),
        ("/spec/containers/0/env/0/value", json!("x")),
        ("/spec/containers/0/resources/limits/cpu", json!("501m")),
        ("/spec/containers/0/ports/0/containerPort", json!(81)),
        ("/metadata/labels/app", json!("b")),
        ("/spec/volumes/2/secret/secretName", json!("y")),
    ];
    for (pointer, value) in changes {
        let mut changed = written();
        *changed.pointer_mut(pointer).expect("the field exists") = value;
        assert_ne!(template_digest(&changed), same, "{pointer}");
    }
    let mut annotated = written();
    annotated["metadata"]["annotations"] = json!({"restarted": ""});
    assert_ne!(
        template_digest(&annotated),
        same,
        "an empty annotation is an annotation"
    );
    let mut off = written();
    off["spec"]["automountServiceAccountToken"] = json!(false);
    assert_ne!(template_digest(&off), same, "off is not the default here");
}

#[test]
fn the_hash_depends_on_the_collision_count() {
    let template = ComparedTemplate::new(&written());
    let hashes = [
        template.pod_hash(None),
        template.pod_hash(Some(1)),
        template.pod_hash(Some(2)),
    ];
    assert!(hashes[0] != hashes[1] && hashes[1] != hashes[2]);
    assert!(
        hashes
            .iter()
            .all(|hash| hash.len() <= 10 && hash.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    );
}

#[test]
fn the_hash_of_steps_sees_every_step() {
    let steps =
        |json: Value| step_hash(&serde_json::from_value::<Vec<CanaryStep>>(json).expect("steps"));
    let all = [
        steps(json!([])),
        steps(json!([{"setWeight": 20}])),
        steps(json!([{"setWeight": 20}, {"pause": {}}])),
        steps(json!([{"setWeight": 20}, {"pause": {"duration": 10}}])),
        steps(json!([{"pause": {}}, {"setWeight": 20}])),
    ];
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len(), "{all:?}");
}

#[test]
fn the_hash_of_steps_is_upstreams() {
    use reconcile_core::kube_types::names::{fnv1a_32, safe_encode};
    // What Go writes for these steps: an object for the run's metadata even when there is none.
    let table = [
        (
            json!([{"setWeight": 20}, {"pause": {"duration": "1m"}}, {"pause": {}}]),
            r#"[{"setWeight":20},{"pause":{"duration":"1m"}},{"pause":{}}]"#,
        ),
        (
            json!([{"analysis": {
                "args": [{"name": "a", "value": "<b>"}, {"name": "c", "valueFrom": {"podTemplateHashValue": "Latest"}}],
                "templates": [{"templateName": "t", "clusterScope": true}, {"clusterScope": false, "templateName": "u"}]
            }}]),
            r#"[{"analysis":{"templates":[{"templateName":"t","clusterScope":true},{"templateName":"u"}],"args":[{"name":"a","value":"\u003cb\u003e"},{"name":"c","valueFrom":{"podTemplateHashValue":"Latest"}}],"analysisRunMetadata":{}}}]"#,
        ),
    ];
    for (steps, text) in table {
        let steps: Vec<CanaryStep> = serde_json::from_value(steps).expect("steps");
        assert_eq!(
            step_hash(&steps),
            safe_encode(&fnv1a_32(text.as_bytes()).to_string()),
            "{text}"
        );
    }
}
