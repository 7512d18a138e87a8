//! Replicas, failures and what the controller makes by itself.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_project_is_made_also_after_failures() {
    let (bed, commit) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.api
        .fail(Fault::status("create", "appprojects", 500, "away").times(1));
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until_synced(&commit).await;
    let project = bed.api.get("appprojects", NAMESPACE, "default");
    assert_eq!(
        project.expect("the project")["spec"],
        json!({
            "sourceRepos": ["*"],
            "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        })
    );
    operator.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_that_reaches_a_replica_that_does_not_lead_is_synced_by_the_leader() {
    let (bed, first) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.application(&json!({"automated": {}}));
    let leader = bed.controller().await;
    bed.until_synced(&first).await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let webhook = ListenAddress {
        address: Some(address.ip()),
        port: address.port(),
    };
    let standby = bed.standby(webhook).await;
    standby.readiness.wait().await;
    let second = bed.push(&[("app/a.yaml", &config_map("a", "2"))]);
    let push = json!({"repository": {"html_url": bed.origin.url()}});
    let index = reqwest::get(format!("http://{address}/")).await;
    let index = index.expect("an answer").text().await.expect("text");
    assert!(index.contains("POST /api/webhook"), "{index}");
    let answer = reqwest::Client::new()
        .post(format!("http://{address}/api/webhook"))
        .header("x-github-event", "push")
        .json(&push)
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    bed.until_synced(&second).await;
    let annotations = &bed.app()["metadata"]["annotations"];
    assert!(
        annotations
            .get("argocd.argoproj.io/refresh")
            .is_none_or(Value::is_null),
        "{annotations}"
    );
    standby.shutdown.cancel();
    leader.shutdown.cancel();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repository_on_the_machine_of_the_controller_is_refused_unless_a_flag_permits_it() {
    let (mut bed, _) = Bed::with(&[("app/a.yaml", &config_map("a", "1"))]);
    bed.file_repositories = FileRepositories::Refuse;
    bed.application(&json!({"automated": {}}));
    let operator = bed.controller().await;
    bed.until("refused", |bed| {
        let text = bed.app()["status"]["conditions"].to_string();
        text.contains("InvalidSpecError") && text.contains("--allow-file-repositories")
    })
    .await;
    // The source of an operation passes the same check.
    bed.api.edit("applications", NAMESPACE, "app", |app| {
        let own = app["spec"]["source"].clone();
        app["spec"]["source"]["repoURL"] = "https://git.invalid/a".into();
        app["operation"] = json!({"sync": {"source": own}});
    });
    bed.until("refused as an operation", |bed| {
        let state = &bed.app()["status"]["operationState"];
        state["phase"] == "Error" && state["message"].to_string().contains("file://")
    })
    .await;
    assert_eq!(bed.writes_of("configmaps"), 0);
    operator.shutdown.cancel();
}
