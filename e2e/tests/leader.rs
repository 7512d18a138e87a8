//! Leader election against the real API server: the cases for which the election is our own code
//! (`docs/decisions/0001-leader-election.md`).

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use e2e::{Bed, Options};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use reconcile_core::client::Fence;
use reconcile_core::clock::Clock;
use reconcile_core::lease::{self, Elector, LeaseConfig, LeaseLost, Timing};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Short enough for a test, long enough that a busy machine does not lose a lease.
const DURATION: Duration = Duration::from_secs(4);

/// A candidate in a task of its own.
struct Candidate {
    leads: watch::Receiver<bool>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), LeaseLost>>,
    fence: Fence,
}

fn run_for(client: &Client, lease: &str, identity: &str) -> Candidate {
    run_as(client, lease, identity.into())
}

fn run_as(client: &Client, lease: &str, candidate: lease::Candidate) -> Candidate {
    let clock = Clock::system();
    let fence = Fence::closed(clock.clone());
    let (sender, leads) = watch::channel(false);
    let config = LeaseConfig {
        namespace: "default".into(),
        name: lease.into(),
        candidate,
        timing: Timing {
            lease_duration: DURATION,
            renew_deadline: Duration::from_secs(3),
            retry_period: Duration::from_millis(500),
        },
    };
    let mut elector = Elector::new(client.clone(), config, fence.clone(), clock, sender);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let task = tokio::spawn(async move { elector.run(&stopped, std::future::ready(())).await });
    Candidate {
        leads,
        stop,
        task,
        fence,
    }
}

/// A Lease as a Go controller leaves it: created by another field manager, with a holder that is not us.
async fn foreign(client: &Client, name: &str, renewed: jiff::Timestamp) -> Result<Api<Lease>> {
    let api: Api<Lease> = Api::namespaced(client.clone(), "default");
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(name.into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some("go-controller_1".into()),
            lease_duration_seconds: Some(4),
            acquire_time: Some(MicroTime(renewed)),
            renew_time: Some(MicroTime(renewed)),
            lease_transitions: Some(0),
            ..LeaseSpec::default()
        }),
    };
    let params = PostParams {
        field_manager: Some("rollouts-controller".into()),
        ..PostParams::default()
    };
    api.create(&params, &lease).await?;
    Ok(api)
}

async fn bed() -> Result<Bed> {
    Bed::up(Options::cluster_only()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_holder_is_taken_over_after_its_duration_and_not_before() -> Result<()> {
    let bed = bed().await?;
    let client = bed.client()?;
    let api = foreign(&client, "dead", Clock::system().now()).await?;
    let begin = Instant::now();
    let mut candidate = run_for(&client, "dead", "ours");
    assert!(!candidate.fence.is_open());
    tokio::time::timeout(DURATION * 5, candidate.leads.wait_for(|leads| *leads))
        .await
        .context("taking over")??;
    assert!(
        begin.elapsed() >= DURATION,
        "taken over after {:?}",
        begin.elapsed()
    );
    assert!(candidate.fence.is_open());
    let spec = api.get("dead").await?.spec.context("a spec")?;
    assert_eq!(spec.holder_identity.as_deref(), Some("ours"));
    assert_eq!(spec.lease_transitions, Some(1));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_holder_whose_clock_is_behind_is_left_alone() -> Result<()> {
    let bed = bed().await?;
    let client = bed.client()?;
    let slow = jiff::SignedDuration::from_secs(60);
    let api = foreign(&client, "slow", Clock::system().now() - slow).await?;
    let candidate = run_for(&client, "slow", "ours");
    let begin = Instant::now();
    while begin.elapsed() < DURATION * 2 {
        let mut lease = api.get("slow").await?;
        let spec = lease.spec.as_mut().context("a spec")?;
        assert_eq!(
            spec.holder_identity.as_deref(),
            Some("go-controller_1"),
            "the live holder was robbed"
        );
        spec.renew_time = Some(MicroTime(Clock::system().now() - slow));
        api.replace("slow", &PostParams::default(), &lease).await?;
        assert!(!*candidate.leads.borrow());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_leader_gives_the_lease_back_at_once() -> Result<()> {
    let bed = bed().await?;
    let client = bed.client()?;
    let mut first = run_for(&client, "handover", "first");
    first.leads.wait_for(|leads| *leads).await?;
    let mut second = run_for(&client, "handover", "second");
    first.stop.cancel();
    first.task.await??;
    assert!(
        !first.fence.is_open(),
        "a released lease must close the fence"
    );
    let begin = Instant::now();
    second.leads.wait_for(|leads| *leads).await?;
    assert!(begin.elapsed() < DURATION, "the lease was not released");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_renew_stops_writing_before_others_may_take_over() -> Result<()> {
    let bed = bed().await?;
    let client = bed.client()?;
    let mut leader = run_for(&client, "cut", "ours");
    leader.leads.wait_for(|leads| *leads).await?;
    bed.control_plane()?.apiserver.kill().await?;
    let begin = Instant::now();
    let outcome = tokio::time::timeout(DURATION * 3, leader.task)
        .await
        .context("losing the lease")??;
    assert!(
        outcome.is_err(),
        "the loss of the lease must end the election with an error"
    );
    assert!(
        begin.elapsed() < DURATION,
        "noticed only after {:?}",
        begin.elapsed()
    );
    assert!(!leader.fence.is_open());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_comes_back_in_its_pod_takes_its_lease_back_at_once() -> Result<()> {
    let bed = bed().await?;
    let client = bed.client()?;
    let of_pod = |pod: &str| lease::Candidate::new(Some(pod.to_owned()), "node");
    let mut killed = run_as(&client, "pod", of_pod("events-0"));
    killed.leads.wait_for(|leads| *leads).await?;
    // As after `kill -9`: nothing is released.
    killed.task.abort();
    let begin = Instant::now();
    let other = run_as(&client, "pod", of_pod("events-1"));
    let mut back = run_as(&client, "pod", of_pod("events-0"));
    back.leads.wait_for(|leads| *leads).await?;
    assert!(begin.elapsed() < DURATION, "waited for its own lease");
    assert!(back.fence.is_open() && !*other.leads.borrow() && !other.fence.is_open());
    Ok(())
}
