//! Processes that share shards over one API server.
#![cfg(feature = "testkit")]

use std::{sync::Arc, time::Duration};

use reconcile_core::{
    clock::Clock,
    lease::Timing,
    object::ObjectKey,
    operator::Operator,
    shards::{Claim, ShardConfig, Shards, shard_of},
    testkit::{FakeApi, Fault},
};
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;

/// Longest wait for something that must happen, in the time of the runtime.
const PATIENCE: Duration = Duration::from_secs(120);

struct Process {
    shards: Shards,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

fn config(count: u32) -> ShardConfig {
    ShardConfig {
        prefix: "pool".to_owned(),
        count,
        weigh: None,
        role: None,
    }
}

fn operator(api: &FakeApi, identity: &str) -> Operator {
    let clock = Clock::running("2026-01-01T00:00:00Z".parse().expect("a time"));
    Operator::detached_candidate(api.client(), clock, identity.into(), Timing::default())
}

fn start(api: &FakeApi, identity: &str, count: u32) -> Process {
    run(operator(api, identity), config(count))
}

/// A process that acts for all while it leads.
fn start_leader(api: &FakeApi, identity: &str) -> Process {
    let operator = operator(api, identity);
    let role = Some(operator.leader_role().clone());
    run(operator, ShardConfig { role, ..config(1) })
}

fn run(operator: Operator, config: ShardConfig) -> Process {
    let shards = Shards::start(&operator, config).expect("a pool");
    let stop = operator.shutdown.clone();
    // The leader of these processes is of no interest.
    let running = tokio::spawn(async move { drop(operator.run().await) });
    Process {
        shards,
        stop,
        running,
    }
}

impl Process {
    async fn holds(&self, count: usize) {
        let mut changes = self.shards.changes();
        let reached = async {
            while self.shards.held().len() != count {
                changes.changed().await.expect("the pool lives");
            }
        };
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        assert!(reached.is_ok(), "holds {:?}, not {count}", self.shards);
    }

    fn claim(&self, shard: u32) -> Claim {
        self.shards.claims().get(&shard).expect("held").clone()
    }

    /// As a process that is killed: nothing is renewed or released.
    fn kill(&self) {
        self.running.abort();
    }
}

async fn within(reached: impl Future<Output = ()>) {
    let reached = tokio::time::timeout(PATIENCE, reached).await;
    assert!(reached.is_ok(), "not in time");
}

fn holder(api: &FakeApi, lease: &str) -> String {
    let lease = api.get("leases", "default", lease).unwrap_or_default();
    let holder = lease["spec"]["holderIdentity"].as_str();
    holder.unwrap_or_default().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_process_that_joins_gets_its_share_when_the_work_there_has_ended() {
    let api = FakeApi::new();
    let first = start(&api, "first", 4);
    first.holds(4).await;
    // Something is under way for each shard.
    let works: Vec<_> = (0..4).map(|shard| first.claim(shard).work()).collect();
    let second = start(&api, "second", 4);
    first.holds(2).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(second.shards.held(), [] as [u32; 0], "work had not ended");
    for shard in 0..4 {
        assert_eq!(holder(&api, &format!("pool-{shard}-of-4")), "first");
    }
    drop(works);
    second.holds(2).await;
    let both = [first.shards.held(), second.shards.held()].concat();
    assert_eq!(both.len(), 4);
    for n in 0..20 {
        let key = ObjectKey::new("shop", format!("object-{n}"));
        let acting = [&first, &second].map(|one| one.shards.claim_of(&key).is_some());
        assert_ne!(acting[0], acting[1], "{key}");
        let owner = if acting[0] { "first" } else { "second" };
        let lease = format!("pool-{}-of-4", shard_of(&key, 4));
        assert_eq!(holder(&api, &lease), owner);
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_does_not_end_is_dropped_at_last() {
    let api = FakeApi::new();
    let first = start(&api, "first", 2);
    first.holds(2).await;
    let (one, other) = (first.claim(0), first.claim(1));
    let stuck = |claim: Claim| async move {
        let _work = claim.work();
        claim.lost().cancelled().await;
    };
    tokio::spawn(stuck(one));
    tokio::spawn(stuck(other));
    let second = start(&api, "second", 2);
    second.holds(1).await;
    first.holds(1).await;
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_a_dead_process_are_taken_when_its_leases_run_out() {
    let api = FakeApi::new();
    let (first, second) = (start(&api, "first", 6), start(&api, "second", 6));
    first.holds(3).await;
    second.holds(3).await;
    let third = start(&api, "third", 6);
    third.holds(2).await;
    first.kill();
    let killed = Instant::now();
    second.holds(3).await;
    third.holds(3).await;
    let lease = Timing::default().lease_duration;
    assert!(
        killed.elapsed() < lease + Duration::from_secs(6),
        "{:?}",
        killed.elapsed()
    );
    assert!(killed.elapsed() > lease / 2);
    // One that stops gives its shards away without a wait.
    let stopped = Instant::now();
    third.stop.cancel();
    second.holds(6).await;
    assert!(
        stopped.elapsed() < Duration::from_secs(6),
        "{:?}",
        stopped.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn work_stops_before_the_fence_closes_and_is_dropped_with_it() {
    let api = FakeApi::new();
    let only = start(&api, "only", 1);
    only.holds(1).await;
    let claim = only.claim(0);
    let key = ObjectKey::new("shop", "orders");
    assert!(only.shards.claim_of(&key).is_some());
    let renewals = Fault::disconnect("get", "leases").named("pool-0-of-1");
    api.fail(renewals.times(7));
    let work = claim.work();
    within(claim.leaving().cancelled()).await;
    assert!(claim.role().fence().is_open(), "too late");
    assert!(only.shards.claim_of(&key).is_none());
    assert!(!claim.lost().is_cancelled());
    within(claim.lost().cancelled()).await;
    assert!(!claim.role().fence().is_open());
    drop(work);
    // The server is back: another claim of the same shard.
    only.holds(1).await;
    assert!(!only.claim(0).is(&claim));
}

#[tokio::test(start_paused = true)]
async fn another_number_of_shards_waits_for_the_last_process_of_the_first() {
    let api = FakeApi::new();
    let (first, second) = (start(&api, "first", 2), start(&api, "second", 2));
    first.holds(1).await;
    second.holds(1).await;
    let next = start(&api, "next", 5);
    tokio::time::sleep(Duration::from_secs(60)).await;
    first.stop.cancel();
    second.holds(2).await;
    assert_eq!(next.shards.held(), [] as [u32; 0]);
    second.stop.cancel();
    next.holds(5).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_without_shards_never_acts_beside_processes_with_shards() {
    let api = FakeApi::new();
    let leader = start_leader(&api, "leader");
    leader.holds(1).await;
    let worker = start(&api, "worker", 4);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(worker.shards.held(), [] as [u32; 0], "beside the leader");
    leader.stop.cancel();
    worker.holds(4).await;
    let next = start_leader(&api, "next");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(holder(&api, "leader"), "next");
    assert_eq!(next.shards.held(), [] as [u32; 0], "beside the worker");
    worker.stop.cancel();
    next.holds(1).await;
}

#[tokio::test(start_paused = true)]
async fn of_replicas_without_shards_only_the_leader_acts() {
    let api = FakeApi::new();
    let (first, second) = (start_leader(&api, "first"), start_leader(&api, "second"));
    first.holds(1).await;
    assert_eq!(holder(&api, "leader"), "first");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(second.shards.held(), [] as [u32; 0]);
    first.kill();
    let killed = Instant::now();
    second.holds(1).await;
    assert_eq!(holder(&api, "leader"), "second");
    // Of both leases it saw the last renewal: it waits once.
    let longest = Timing::default().lease_duration + Duration::from_secs(8);
    assert!(killed.elapsed() < longest, "{:?}", killed.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_numbers_of_shards_are_those_of_the_process() {
    let api = FakeApi::new();
    let operator = operator(&api, "first");
    let registry = operator.registry.clone();
    let first = run(operator, config(4));
    first.holds(4).await;
    let second = start(&api, "second", 4);
    second.holds(2).await;
    first.holds(2).await;
    let families = registry.gather();
    let value = |name: &str, change: &str| -> String {
        let family = families.iter().find(|family| family.name() == name);
        let metrics = family
            .map(prometheus::proto::MetricFamily::get_metric)
            .unwrap_or_default();
        let labelled = |metric: &&prometheus::proto::Metric| {
            let labels = metric.get_label();
            labels.iter().all(|label| label.value() == change)
        };
        let metric = metrics.iter().find(labelled).expect("a value");
        (metric.get_gauge().get_value() + metric.get_counter().get_value()).to_string()
    };
    assert_eq!([value("shards", ""), value("shards_held", "")], ["4", "2"]);
    let changes =
        ["taken", "handed_over", "lost"].map(|change| value("shard_changes_total", change));
    assert_eq!(changes, ["4", "2", "0"]);
}

#[tokio::test(start_paused = true)]
async fn without_election_the_process_holds_all_shards_at_once() {
    let api = FakeApi::new();
    let operator = Operator::detached(api.client(), Clock::system());
    let shards = Shards::start(&operator, config(3)).expect("a pool");
    assert_eq!(shards.held(), [0, 1, 2]);
    let claim = shards.claim_of(&ObjectKey::new("shop", "orders"));
    assert!(claim.is_some_and(|claim| claim.role().fence().is_open()));
    let heavy = ShardConfig {
        weigh: Some(Arc::new(|| vec![1, 2, 3])),
        ..config(3)
    };
    assert!(
        Shards::start(&operator, heavy).is_err(),
        "one pool per process"
    );
}
