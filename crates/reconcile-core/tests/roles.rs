//! Several leases in one process: what each role may write, and what the loss of one means for the others.
#![cfg(feature = "testkit")]

use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use reconcile_core::{
    client::{Deadlines, is_fenced},
    clock::Clock,
    lease::Timing,
    operator::{EndError, OnLoss, Operator, Role},
    testkit::{FakeApi, FakeKind},
};

/// Longest wait for something that must happen, in the time of the runtime.
const PATIENCE: Duration = Duration::from_secs(60);

fn start() -> jiff::Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn api() -> FakeApi {
    FakeApi::new().with_kind(FakeKind::new("", "v1", "ConfigMap", "configmaps").without_status())
}

fn operator(api: &FakeApi, identity: &str) -> Operator {
    let clock = Clock::running(start());
    Operator::detached_candidate(api.client(), clock, identity.into(), Timing::default())
}

async fn write(client: &Client, name: &str) -> Result<ConfigMap, kube::Error> {
    let object = ConfigMap {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        },
        ..ConfigMap::default()
    };
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "default");
    maps.create(&PostParams::default(), &object).await
}

async fn until_held(role: &Role, held: bool) {
    let mut changes = role.held();
    let reached = tokio::time::timeout(PATIENCE, changes.wait_for(|now| *now == held));
    drop(reached.await.expect("in time").expect("the role lives"));
}

fn take_away(api: &FakeApi, lease: &str) {
    api.edit("leases", "default", lease, |lease| {
        lease["spec"]["holderIdentity"] = "other".into();
        lease["spec"]["renewTime"] = "2026-01-01T01:00:00.000000Z".into();
    });
}

fn holder(api: &FakeApi, lease: &str) -> String {
    let lease = api.get("leases", "default", lease).unwrap_or_default();
    let holder = lease["spec"]["holderIdentity"].as_str();
    holder.unwrap_or_default().to_owned()
}

fn assert_fenced(written: Result<ConfigMap, kube::Error>) {
    let error = written.expect_err("a write without the lease");
    assert!(is_fenced(&error), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_role_that_loses_its_lease_writes_nothing_and_the_others_continue() {
    let api = api();
    let operator = operator(&api, "us");
    let shard = operator
        .claims
        .claim("shard-3", OnLoss::RunAgain)
        .expect("a claim");
    let (leader, serving) = (operator.leader_role().clone(), operator.serving.clone());
    let stop = operator.shutdown.clone();
    assert_fenced(write(leader.client(), "too-early").await);
    write(&serving, "needs-no-lease").await.expect("written");
    let running = tokio::spawn(operator.run());
    until_held(&leader, true).await;
    until_held(&shard, true).await;
    write(leader.client(), "leader-1").await.expect("written");
    write(shard.client(), "shard-1").await.expect("written");

    take_away(&api, "shard-3");
    until_held(&shard, false).await;
    assert_fenced(write(shard.client(), "shard-2").await);
    assert_fenced(write(&shard.with_deadlines(Deadlines::default()), "shard-2").await);
    write(leader.client(), "leader-2").await.expect("written");
    write(&serving, "serving-2").await.expect("written");
    assert!(!running.is_finished(), "the process ended");

    // The other holder is silent; the process takes the shard back.
    until_held(&shard, true).await;
    write(shard.client(), "shard-3").await.expect("written");
    stop.cancel();
    running.await.expect("no panic").expect("a clean stop");
    assert_eq!(
        (holder(&api, "leader"), holder(&api, "shard-3")),
        (String::new(), String::new())
    );
}

#[tokio::test(start_paused = true)]
async fn the_loss_of_the_leader_ends_the_process_and_is_the_one_reason() {
    let api = api();
    let operator = operator(&api, "us");
    let leader = operator.leader_role().clone();
    // Such a part ends when the operator does; that must not be taken for the reason.
    let mut leads = operator.leader();
    operator.spawn("waits for the lease", async move {
        drop(leads.wait_for(|leads| *leads).await);
        drop(leads.wait_for(|leads| !*leads).await);
        std::future::pending::<()>().await;
    });
    let running = tokio::spawn(operator.run());
    until_held(&leader, true).await;
    take_away(&api, "leader");
    let ended = tokio::time::timeout(PATIENCE, running)
        .await
        .expect("an end");
    let error = ended.expect("no panic").expect_err("the lease was lost");
    assert!(matches!(error, EndError::Lease(_)), "{error}");
    assert_eq!(
        error.to_string(),
        "lost the lease default/leader: another replica holds it"
    );
    assert_fenced(write(leader.client(), "too-late").await);
}

#[tokio::test(start_paused = true)]
async fn a_role_that_is_released_frees_its_lease_for_another_process_at_once() {
    let api = api();
    let (one, other) = (operator(&api, "one"), operator(&api, "other"));
    let claim = |operator: &Operator| {
        let claimed = operator.claims.claim("shard-0", OnLoss::RunAgain);
        claimed.expect("a claim")
    };
    let (first, second) = (claim(&one), claim(&other));
    tokio::spawn(one.run());
    until_held(&first, true).await;
    tokio::spawn(other.run());
    first.release();
    until_held(&first, false).await;
    assert_fenced(write(first.client(), "after-release").await);
    let begin = tokio::time::Instant::now();
    until_held(&second, true).await;
    assert!(begin.elapsed() < Timing::default().lease_duration);
    write(second.client(), "second").await.expect("written");
}
