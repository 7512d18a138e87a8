//! Webhooks are removed at their services when their events are deleted, by the program over an API server in memory.

mod support;

use reconcile_core::testkit::FakeApi;
use serde_json::{Value, json};

use support::{
    Forge, Nats, until,
    workers::{Worker, api_with_bus, argo, write_kubeconfig},
};

/// A cluster with a program that acts for it, and services that keep webhooks.
struct Cluster {
    api: FakeApi,
    program: Option<Worker>,
    folder: tempfile::TempDir,
    _server: reconcile_core::testkit::FakeServer,
    _nats: Nats,
}

impl Cluster {
    async fn start() -> Option<Self> {
        let nats = Nats::start().await?;
        let api = api_with_bus(&nats.config().urls[0]);
        let server = api.listen().await.expect("a port");
        let folder = tempfile::tempdir().expect("a folder");
        write_kubeconfig(&folder.path().join("kubeconfig"), &server.url);
        let mut cluster = Self {
            api,
            program: None,
            folder,
            _server: server,
            _nats: nats,
        };
        cluster.secret("forge");
        cluster.run();
        Some(cluster)
    }

    /// `hushtoken`.
    fn secret(&self, name: &str) {
        self.api.put(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": "ns", "name": name},
            "data": {"token": "aHVzaHRva2Vu"},
        }));
    }

    fn run(&mut self) {
        let kubeconfig = self.folder.path().join("kubeconfig");
        self.program = Some(Worker::start_with("controller", &kubeconfig, &[]));
    }

    fn kill(&mut self) {
        self.program.take().expect("it runs").signal("-KILL");
    }

    fn source(&self, name: &str) -> Value {
        self.api.get("eventsources", "ns", name).unwrap_or_default()
    }

    fn is_marked(&self, name: &str) -> bool {
        let records = self.source(name)["status"]["registered"].clone();
        let finalizers = self.source(name)["metadata"]["finalizers"].clone();
        records.as_array().is_some_and(|all| !all.is_empty())
            && finalizers == json!(["eventsource-controller"])
    }

    /// Texts that people read.
    fn texts(&self) -> String {
        format!(
            "{:?} {:?}",
            self.api.list("eventsources"),
            self.api.list("events")
        )
    }
}

fn key(secret: &str) -> Value {
    json!({"name": secret, "key": "token"})
}

fn webhook(endpoint: &str) -> Value {
    json!({"url": "https://events.shop", "endpoint": endpoint, "port": "12000"})
}

fn github(forge: &Forge, names: &[&str], secret: &str) -> Value {
    json!({
        "webhook": webhook("/push"), "githubBaseURL": forge.url, "events": ["push"], "apiToken": key(secret),
        "repositories": [{"owner": "shop", "names": names}], "deleteHookOnFinish": true,
    })
}

const TOKEN: (&str, &str) = ("authorization", "Bearer hushtoken");

#[tokio::test(flavor = "multi_thread")]
#[expect(
    clippy::too_many_lines,
    reason = "one webhook, from its registration to what three ends leave of it"
)]
async fn a_webhook_goes_with_its_event_also_when_nobody_saw_the_event_go() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    let hub = Forge::start(TOKEN).await;
    let lab = Forge::start(("private-token", "hushtoken")).await;
    let server = Forge::start(TOKEN).await;
    let theirs = json!({"id": 7, "config": {"url": "https://other"}});
    hub.put("/repos/shop/api/hooks", theirs.clone());
    let gitlab = json!({
        "webhook": webhook("/lab"), "gitlabBaseURL": lab.url, "projects": ["shop/api"], "groups": ["tools"],
        "accessToken": key("forge"), "deleteHookOnFinish": true,
    });
    let bitbucket = json!({
        "webhook": webhook("/server"), "bitbucketserverBaseURL": server.url, "events": ["repo:refs_changed"],
        "projects": ["TOOLS"], "accessToken": key("forge"), "deleteHookOnFinish": true,
    });
    cluster.api.put(&argo(
        "EventSource",
        "src",
        &json!({
            "github": {"hub": github(&hub, &["api", "web"], "forge")}, "gitlab": {"lab": gitlab},
            "bitbucketserver": {"server": bitbucket},
        }),
    ));
    until("all are registered", || async {
        hub.changes().len() == 2 && lab.changes().len() == 2 && server.changes().len() == 1
    })
    .await;
    until("it is marked", || async { cluster.is_marked("src") }).await;
    let change = |change: &dyn Fn(&mut Value)| {
        cluster.api.edit("eventsources", "ns", "src", |source| {
            change(&mut source["spec"]);
            let generation = source["metadata"]["generation"].as_i64().unwrap_or(1);
            source["metadata"]["generation"] = json!(generation + 1);
        });
    };
    // One event goes, and a repository of another; what both name stays untouched.
    change(&|spec| {
        spec["gitlab"] = json!({});
        spec["github"]["hub"] = github(&hub, &["api"], "forge");
    });
    until("three are removed", || async {
        lab.changes().len() == 4 && hub.changes().len() == 3
    })
    .await;
    assert_eq!(
        lab.changes()[2..],
        [
            "DELETE /api/v4/projects/shop%2Fapi/hooks/1",
            "DELETE /api/v4/groups/tools/hooks/1",
        ]
    );
    assert_eq!(hub.changes()[2], "DELETE /repos/shop/web/hooks/1");
    until("they are forgotten", || async {
        cluster.source("src")["status"]["registered"]
            .as_array()
            .is_some_and(|all| all.len() == 2)
    })
    .await;
    // Another event goes while nobody looks.
    cluster.kill();
    cluster.api.edit("eventsources", "ns", "src", |source| {
        source["spec"]["bitbucketserver"] = json!({});
    });
    cluster.run();
    until("it is removed", || async { server.changes().len() == 2 }).await;
    assert_eq!(
        server.changes()[1],
        "DELETE /rest/api/1.0/projects/TOOLS/webhooks/1"
    );
    cluster.api.delete("eventsources", "ns", "src");
    until("the object is gone", || async {
        cluster.source("src").is_null()
    })
    .await;
    assert_eq!(hub.hooks("/repos/shop/api/hooks"), [theirs]);
    assert!(
        !cluster.texts().contains("RegistrationLeft"),
        "{}",
        cluster.texts()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_does_not_wait_for_ever_and_says_what_stays() {
    let Some(mut cluster) = Cluster::start().await else {
        return;
    };
    cluster.secret("passing");
    let (gone, there) = (Forge::start(TOKEN).await, Forge::start(TOKEN).await);
    for (name, forge, secret) in [("gone", &gone, "forge"), ("secret", &there, "passing")] {
        let spec = json!({"github": {"hub": github(forge, &["api"], secret)}});
        cluster.api.put(&argo("EventSource", name, &spec));
        until("it is registered", || async { forge.changes().len() == 1 }).await;
        until("it is marked", || async { cluster.is_marked(name) }).await;
    }
    // Without the field nothing is removed, and nothing is waited for.
    let mut stays = github(&there, &["stays"], "forge");
    stays["deleteHookOnFinish"] = json!(false);
    let spec = json!({"github": {"hub": stays}});
    cluster.api.put(&argo("EventSource", "stays", &spec));
    until("it is registered", || async { there.changes().len() == 2 }).await;
    assert!(!cluster.is_marked("stays"));
    gone.end();
    // The program keeps values of Secrets for a minute.
    cluster.kill();
    cluster.api.delete("secrets", "ns", "passing");
    for name in ["gone", "secret", "stays"] {
        cluster.api.delete("eventsources", "ns", name);
    }
    cluster.run();
    until("the reason is reported meanwhile", || async {
        let texts = cluster.source("gone").to_string();
        texts.contains("RegistrationsRemoved") && texts.contains("\"Retrying\"")
    })
    .await;
    until("all objects are gone", || async {
        cluster.api.list("eventsources").is_empty()
    })
    .await;
    until("two are reported", || async {
        let texts = cluster.texts();
        texts.contains("spec.github.hub: 127.0.0.1")
            && texts.contains("cannot read Secret ns/passing")
    })
    .await;
    let texts = cluster.texts();
    assert_eq!(cluster.api.list("events").len(), 2, "{texts}");
    assert!(texts.contains("RegistrationLeft"), "{texts}");
    assert!(texts.contains("not removed after 5 tries"), "{texts}");
    assert!(!texts.contains("hushtoken"), "{texts}");
    assert_eq!(there.hooks("/repos/shop/stays/hooks").len(), 1);
}
