//! Applications on other clusters: API servers in memory on ports of this machine.

use base64::{Engine, engine::general_purpose::STANDARD};
use reconcile_core::{
    egress::EgressPolicy,
    testkit::{FakeApi, FakeServer, Health},
};
use serde_json::{Value, json};

use super::{Bed, NAMESPACE, config_map};

/// Another cluster, and the Secret that describes it.
struct Remote {
    api: FakeApi,
    server: FakeServer,
}

impl Remote {
    async fn start() -> Self {
        let api = FakeApi::new();
        let server = api.listen().await.expect("a port");
        Self { api, server }
    }

    /// The data of its Secret.
    fn data(&self, name: &str, config: &Value) -> Value {
        json!({"name": name, "server": self.server.url, "config": config.to_string()})
    }
}

impl Bed {
    fn put_cluster(&self, secret: &str, data: &Value) {
        let entries = data.as_object().into_iter().flatten();
        let encoded: serde_json::Map<String, Value> = entries
            .map(|(key, value)| {
                let text = value.as_str().unwrap_or_default();
                (key.clone(), STANDARD.encode(text).into())
            })
            .collect();
        self.api.put(&json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": secret, "namespace": NAMESPACE,
                "labels": {"argocd.argoproj.io/secret-type": "cluster"},
            },
            "data": encoded,
        }));
    }

    fn put_app(&self, name: &str, destination: &Value) {
        let mut destination = destination.clone();
        destination["namespace"] = "ns".into();
        self.api.put(&json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "project": "default",
                "source": {"repoURL": self.origin.url(), "path": "app", "targetRevision": "main"},
                "destination": destination,
                "syncPolicy": {"automated": {"prune": true, "selfHeal": true}},
            },
        }));
    }

    fn condition(&self, app: &str, type_: &str) -> Option<String> {
        let app = self.api.get("applications", NAMESPACE, app)?;
        let conditions = app["status"]["conditions"].as_array()?;
        let found = conditions
            .iter()
            .find(|condition| condition["type"] == type_)?;
        found["message"].as_str().map(str::to_owned)
    }

    async fn until_condition(&self, type_: &str, text: &str) {
        self.until(&format!("{type_}: {text}"), |bed| {
            bed.condition("app", type_)
                .is_some_and(|message| message.contains(text))
        })
        .await;
    }

    /// All that a person can read of the controller's work.
    fn texts(&self) -> String {
        let mut texts = self.api.list("applications");
        texts.extend(self.api.list("events"));
        json!(texts).to_string()
    }
}

fn metric(operator: &reconcile_core::operator::Operator, name: &str, server: &str) -> Option<f64> {
    let families = operator.registry.gather();
    let family = families.iter().find(|family| family.name() == name)?;
    let of_server = |metric: &&prometheus::proto::Metric| {
        let mut labels = metric.get_label().iter();
        labels.any(|label| label.name() == "server" && label.value() == server)
    };
    let metric = family.get_metric().iter().find(of_server)?;
    Some(metric.get_gauge().get_value())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_application_lives_and_dies_on_another_cluster() {
    let remote = Remote::start().await;
    remote.server.require("token-of-edge");
    let (bed, first) = Bed::with(&[
        ("app/a.yaml", &config_map("a", "1")),
        ("app/b.yaml", &config_map("b", "1")),
    ]);
    bed.put_cluster(
        "edge",
        &remote.data("edge", &json!({"bearerToken": "token-of-edge"})),
    );
    bed.put_app("app", &json!({"name": "edge"}));
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        app["metadata"]["finalizers"] = json!([crate::api::RESOURCES_FINALIZER]);
    });
    let operator = bed.controller().await;
    bed.until_synced(&first).await;
    assert!(remote.api.get("configmaps", "ns", "a").is_some());
    assert!(
        bed.api.list("configmaps").is_empty(),
        "nothing on the own cluster"
    );
    let status = || {
        metric(
            &operator,
            "argocd_cluster_connection_status",
            &remote.server.url,
        )
    };
    assert_eq!(status(), Some(1.0));
    remote.api.edit("configmaps", "ns", "a", |map| {
        map["data"]["a"] = "by hand".into();
    });
    bed.until("healed", |_| {
        let map = remote.api.get("configmaps", "ns", "a");
        map.is_some_and(|map| map["data"]["a"] == "1")
    })
    .await;
    bed.origin.remove("app/b.yaml");
    let second = bed.push(&[]);
    bed.refresh();
    bed.until_synced(&second).await;
    assert_eq!(remote.api.get("configmaps", "ns", "b"), None, "pruned");
    bed.api.delete("applications", NAMESPACE, "app");
    bed.until("gone", |bed| bed.app().is_null()).await;
    assert_eq!(remote.api.get("configmaps", "ns", "a"), None);
    // The last Application takes the connection along.
    bed.until("closed", |_| status() == Some(0.0)).await;
    assert!(!bed.texts().contains("token-of-edge"));
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_takes_its_token_from_a_program() {
    let remote = Remote::start().await;
    remote.server.require("token-of-edge");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "expired").expect("a file");
    let script = format!(
        "printf '{{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"status\":{{\"token\":\"%s\"}}}}' \"$(cat '{}')\"",
        file.display()
    );
    let exec = json!({"execProviderConfig": {
        "command": "sh", "args": ["-c", script],
        "apiVersion": "client.authentication.k8s.io/v1",
    }});
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.put_cluster("edge", &remote.data("edge", &exec));
    bed.put_app("app", &json!({"name": "edge"}));
    let operator = bed.controller().await;
    bed.until_condition("ComparisonError", "Unauthorized").await;
    // The server refuses the old token, so the program is asked again.
    std::fs::write(&file, "token-of-edge").expect("a file");
    bed.until_synced(&commit).await;
    assert!(remote.api.get("configmaps", "ns", "a").is_some());
    assert!(!bed.texts().contains("token-of-edge"));
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_cluster_is_an_invalid_spec_until_its_secret_comes() {
    let remote = Remote::start().await;
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.put_app("app", &json!({"name": "edge"}));
    let operator = bed.controller().await;
    bed.until_condition(
        "InvalidSpecError",
        "there are no clusters with this name: edge",
    )
    .await;
    assert_eq!(bed.app()["status"]["sync"]["status"], "Unknown");
    let exec = json!({"execProviderConfig": {"args": ["aws"]}});
    bed.put_cluster("edge", &remote.data("edge", &exec));
    bed.until_condition(
        "InvalidSpecError",
        "config.execProviderConfig.command is missing",
    )
    .await;
    bed.put_cluster("edge", &remote.data("edge", &json!({})));
    bed.until_synced(&commit).await;
    assert_eq!(bed.condition("app", "InvalidSpecError"), None);
    // The Secret goes: the Application says so, and its deletion leaves the objects where they are.
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        app["metadata"]["finalizers"] = json!([crate::api::RESOURCES_FINALIZER]);
    });
    bed.api.delete("secrets", NAMESPACE, "edge");
    bed.until_condition(
        "InvalidSpecError",
        "there are no clusters with this name: edge",
    )
    .await;
    bed.api.delete("applications", NAMESPACE, "app");
    bed.until("gone", |bed| bed.app().is_null()).await;
    assert!(remote.api.get("configmaps", "ns", "a").is_some());
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_credentials_in_the_secret_are_used_at_once() {
    let remote = Remote::start().await;
    remote.server.require("first-token");
    let (bed, first) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.put_cluster(
        "edge",
        &remote.data("edge", &json!({"bearerToken": "first-token"})),
    );
    bed.put_app("app", &json!({"server": remote.server.url}));
    let operator = bed.controller().await;
    bed.until_synced(&first).await;
    remote.server.require("second-token");
    remote.api.drop_watches();
    bed.put_cluster(
        "edge",
        &remote.data("edge", &json!({"bearerToken": "second-token"})),
    );
    let second = bed.push(&[("app/a.yaml", &config_map("a", "2"))]);
    bed.refresh();
    bed.until_synced(&second).await;
    let map = remote
        .api
        .get("configmaps", "ns", "a")
        .expect("it is there");
    assert_eq!(map["data"]["a"], "2");
    bed.put_cluster(
        "edge",
        &remote.data("edge", &json!({"bearerToken": "a-wrong-token"})),
    );
    bed.until_condition("ComparisonError", "failed to get cluster info")
        .await;
    assert_eq!(bed.app()["status"]["sync"]["status"], "Unknown");
    let texts = bed.texts();
    for token in ["first-token", "second-token", "a-wrong-token"] {
        assert!(!texts.contains(token));
    }
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreachable_cluster_loses_nothing_and_slows_no_other() {
    let (away, hanging) = (Remote::start().await, Remote::start().await);
    hanging.server.set_health(Health::Hanging);
    let (bed, first) = Bed::with(&[
        ("app/a.yaml", &config_map("a", "1")),
        ("app/b.yaml", &config_map("b", "1")),
    ]);
    bed.put_cluster("away", &away.data("away", &json!({})));
    bed.put_cluster("hanging", &hanging.data("hanging", &json!({})));
    // More Applications than there are workers.
    for number in 0..8 {
        bed.put_app(&format!("stuck-{number}"), &json!({"name": "hanging"}));
    }
    bed.put_app("app", &json!({"name": "away"}));
    let operator = bed.controller().await;
    bed.until_synced(&first).await;
    away.server.set_health(Health::Unavailable);
    away.api.drop_watches();
    bed.origin.remove("app/b.yaml");
    let second = bed.push(&[]);
    bed.until("away", |_| {
        let status = metric(
            &operator,
            "argocd_cluster_connection_status",
            &away.server.url,
        );
        status == Some(0.0)
    })
    .await;
    bed.refresh();
    bed.until_condition("ComparisonError", "failed to get cluster info")
        .await;
    assert!(
        away.api.get("configmaps", "ns", "b").is_some(),
        "not pruned"
    );
    // Another Application on the own cluster does not notice.
    bed.put_app("own", &json!({"name": "in-cluster"}));
    bed.until("synced beside them", |bed| {
        let app = bed
            .api
            .get("applications", NAMESPACE, "own")
            .unwrap_or_default();
        app["status"]["sync"]["status"] == "Synced"
    })
    .await;
    away.server.set_health(Health::Good);
    bed.until_synced(&second).await;
    assert_eq!(away.api.get("configmaps", "ns", "b"), None, "pruned by now");
    assert_eq!(bed.condition("app", "ComparisonError"), None);
    assert!(hanging.api.list("configmaps").is_empty());
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_namespaces_of_a_namespaced_cluster_are_read() {
    let remote = Remote::start().await;
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    let mut data = remote.data("edge", &json!({}));
    data["namespaces"] = "ns,other".into();
    bed.put_cluster("edge", &data);
    bed.put_app("app", &json!({"name": "edge"}));
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    let requests = remote.api.requests();
    let read = requests
        .iter()
        .filter(|request| request.resource == "configmaps");
    for request in read {
        assert!(
            ["ns", "other"].contains(&request.namespace.as_str()),
            "{request:?}"
        );
    }
    let role = "apiVersion: v1\nkind: Namespace\nmetadata: {name: more}\n";
    bed.push(&[("app/more.yaml", role)]);
    bed.refresh();
    bed.until_condition(
        "ComparisonError",
        "Cluster level Namespace \"more\" can not be managed when in namespaced mode",
    )
    .await;
    assert_eq!(remote.api.get("namespaces", "", "more"), None);
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_does_not_choose_addresses_of_the_machine() {
    let remote = Remote::start().await;
    let (mut bed, _) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.cluster_egress = EgressPolicy::of_local_flag("--allow-local-clusters", false);
    bed.put_cluster(
        "edge",
        &remote.data("edge", &json!({"bearerToken": "hush"})),
    );
    bed.put_app("app", &json!({"name": "edge"}));
    let operator = bed.controller().await;
    bed.until_condition(
        "ComparisonError",
        "127.0.0.1 is a loopback address and is not called; --allow-local-clusters permits it",
    )
    .await;
    let named = remote.server.url.replace("127.0.0.1", "localhost");
    bed.put_cluster("edge", &json!({"name": "edge", "server": named}));
    bed.until_condition("ComparisonError", "failed to get cluster info")
        .await;
    assert!(remote.api.requests().is_empty());
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_project_is_asked_about_the_cluster_that_a_name_means() {
    let remote = Remote::start().await;
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.put_cluster("edge", &remote.data("edge", &json!({})));
    let project = |server: &str| {
        bed.project(&json!({"destinations": [{"server": server, "namespace": "*"}]}));
    };
    project("https://kubernetes.default.svc");
    bed.put_app("app", &json!({"name": "edge"}));
    let operator = bed.controller().await;
    bed.until_condition(
        "InvalidSpecError",
        &format!(
            "application destination server '{}' and namespace 'ns' do not match any of the allowed destinations in project 'default'",
            remote.server.url
        ),
    )
    .await;
    assert!(remote.api.writes().is_empty());
    project(&remote.server.url);
    bed.until_synced(&commit).await;
    operator.shutdown.cancel();
}
