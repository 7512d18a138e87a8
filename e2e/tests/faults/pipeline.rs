//! A webhook that makes objects, and how many it has made.

use super::*;

pub(super) fn pipeline(nats: &str, port: u16) -> String {
    format!(
        r"
apiVersion: v1
kind: ServiceAccount
metadata: {{name: maker}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {{name: maker}}
rules: [{{apiGroups: [''], resources: [configmaps], verbs: ['*']}}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: maker}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: Role, name: maker}}
subjects: [{{kind: ServiceAccount, name: maker, namespace: default}}]
---
apiVersion: argoproj.io/v1alpha1
kind: EventBus
metadata: {{name: default}}
spec: {{jetstreamExotic: {{url: '{nats}'}}}}
---
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{name: hook}}
spec: {{webhook: {{order: {{port: '{port}', endpoint: /order, method: POST}}}}}}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{name: maker}}
spec:
  template: {{serviceAccountName: maker}}
  dependencies: [{{name: order, eventSourceName: hook, eventName: order}}]
  triggers:
    - template:
        name: make
        k8s:
          operation: create
          source:
            resource:
              apiVersion: v1
              kind: ConfigMap
              metadata: {{generateName: made-}}
              data: {{}}
          parameters:
            - {{src: {{dependencyName: order, dataKey: body.id}}, dest: data.id}}
      retryStrategy: {{steps: 5, duration: 500ms}}
"
    )
}

/// Sends an event until it is accepted, as a Git server would. True when it was accepted at the first try.
pub(super) async fn deliver(port: u16, id: &str) -> Result<bool> {
    let client = reqwest::Client::new();
    let begin = Instant::now();
    let mut first = true;
    loop {
        let request = client
            .post(format!("http://127.0.0.1:{port}/order"))
            .json(&json!({"id": id}))
            .timeout(Duration::from_secs(10));
        if request
            .send()
            .await
            .is_ok_and(|answer| answer.status().is_success())
        {
            return Ok(first);
        }
        first = false;
        ensure!(
            begin.elapsed() < scene::PATIENCE,
            "event {id} was not accepted"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Ids of the ConfigMaps that the trigger made, until `count` different ones are there.
pub(super) async fn made(scene: &Scene, count: usize) -> Result<Vec<String>> {
    let begin = Instant::now();
    loop {
        let maps = scene
            .api("v1", "ConfigMap", "default")
            .await?
            .list(&ListParams::default())
            .await?;
        let mut ids: Vec<String> = maps
            .items
            .iter()
            .filter_map(|map| map.data["data"]["id"].as_str().map(str::to_owned))
            .collect();
        ids.sort();
        let mut different = ids.clone();
        different.dedup();
        if different.len() >= count {
            return Ok(ids);
        }
        ensure!(
            begin.elapsed() < scene::PATIENCE,
            "only {} of {count}: {different:?}\n{}",
            different.len(),
            scene.logs()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

pub(super) async fn ready(scene: &Scene) -> Result<()> {
    for (kind, name) in [("EventSource", "hook"), ("Sensor", "maker")] {
        scene.until_deployed(kind, "default", name).await?;
    }
    Ok(())
}
