//! The election against a fake API server, on a clock that runs with the paused time of the runtime.

use tokio::{sync::watch, task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::testkit::{FakeApi, Fault};

struct Candidate {
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), LeaseLost>>,
    fence: Fence,
    clock: Clock,
}

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().expect("a time")
}

fn run_for(api: &FakeApi, identity: &str) -> Candidate {
    run_until(api, identity, std::future::ready(()))
}

fn run_until(
    api: &FakeApi,
    identity: &str,
    drained: impl Future<Output = ()> + Send + 'static,
) -> Candidate {
    let clock = Clock::running(start());
    let fence = Fence::closed(clock.clone());
    let (sender, leads) = watch::channel(false);
    let config = LeaseConfig {
        namespace: "default".into(),
        name: "lock".into(),
        candidate: identity.into(),
        timing: Timing::default(),
    };
    let mut elector = Elector::new(api.client(), config, fence.clone(), clock.clone(), sender);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move { elector.run(&stopped, drained).await });
    Candidate {
        leads,
        stop,
        task,
        fence,
        clock,
    }
}

impl Candidate {
    async fn lead(&mut self) {
        let led = self.leads.wait_for(|leads| *leads);
        drop(led.await.expect("the election continues"));
    }

    fn leads(&self) -> bool {
        *self.leads.borrow()
    }
}

fn holder(api: &FakeApi) -> String {
    let lease = api.get("leases", "default", "lock").unwrap_or_default();
    lease["spec"]["holderIdentity"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_gives_up_at_its_deadline_whatever_is_under_way() {
    let api = FakeApi::new();
    let mut leader = run_for(&api, "a");
    leader.lead().await;
    let begin = Instant::now();
    // The first renewal looks for seven seconds and then cannot write; the second read hangs.
    api.fail(Fault::delay("get", "leases", Duration::from_secs(7)));
    api.fail(Fault::disconnect("update", "leases"));
    api.fail(Fault::delay("get", "leases", Duration::from_secs(600)).times(9));
    let lost = leader.task.await.expect("no panic");
    assert!(lost.is_err(), "the process must learn of it");
    assert!(!leader.fence.is_open() && !*leader.leads.borrow());
    let deadline = Timing::default().renew_deadline;
    assert!(
        begin.elapsed() <= deadline,
        "only after {:?}",
        begin.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_by_a_client_that_does_not_take_the_lease_is_harmless() {
    let api = FakeApi::new();
    let mut leader = run_for(&api, "a");
    leader.lead().await;
    api.fail(Fault::status("update", "leases", 409, "Conflict"));
    pass(60).await;
    assert!(leader.leads() && leader.fence.is_open());
    assert_eq!(holder(&api), "a");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_another_replica_took_is_lost_at_the_next_read() {
    let api = FakeApi::new();
    let mut leader = run_for(&api, "a");
    leader.lead().await;
    api.edit("leases", "default", "lock", |lease| {
        lease["spec"]["holderIdentity"] = "b".into();
    });
    let lost = leader.task.await.expect("no panic").expect_err("lost");
    assert!(lost.to_string().contains("another replica"), "{lost}");
}

#[tokio::test(start_paused = true)]
async fn a_moved_time_of_day_neither_takes_nor_keeps_a_lease() {
    let api = FakeApi::new();
    let mut leader = run_for(&api, "a");
    leader.lead().await;
    let standby = run_for(&api, "b");
    pass(4).await;
    standby.clock.move_wall(SignedDuration::from_hours(1));
    pass(14).await;
    assert!(!standby.leads(), "a lease was taken from a live holder");
    assert_eq!(holder(&api), "a");
    // The holder's own clock is set back and the server goes away: it gives up as soon as otherwise.
    leader.clock.move_wall(-SignedDuration::from_hours(1));
    api.fail(Fault::disconnect("*", "leases").times(1000));
    pass(11).await;
    assert!(!leader.leads() && !leader.fence.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_last_renewal_had_no_answer_is_released_too() {
    let api = FakeApi::new();
    let mut leader = run_for(&api, "a");
    leader.lead().await;
    api.fail(Fault::lose_answer("update", "leases"));
    pass(3).await;
    leader.stop.cancel();
    leader.task.await.expect("no panic").expect("a clean stop");
    assert_eq!(holder(&api), "", "the standby has to wait");
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_kept_while_work_ends_and_then_released() {
    let api = FakeApi::new();
    let mut leader = run_until(&api, "a", pass(20));
    leader.lead().await;
    let standby = run_for(&api, "b");
    leader.stop.cancel();
    pass(18).await;
    assert!(leader.fence.is_open(), "work in flight cannot write");
    assert!(!standby.leads());
    pass(6).await;
    assert!(leader.task.await.expect("no panic").is_ok());
    assert!(standby.leads());
}

#[tokio::test(start_paused = true)]
async fn a_standby_that_stops_does_not_become_the_leader_meanwhile() {
    let api = FakeApi::new();
    let mut leader = run_for(&api, "a");
    leader.lead().await;
    let standby = run_until(&api, "b", pass(20));
    pass(4).await;
    standby.stop.cancel();
    leader.stop.cancel();
    pass(10).await;
    assert!(!standby.leads());
    assert_eq!(holder(&api), "");
}
