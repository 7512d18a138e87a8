//! Whether to take, renew or wait for a lease.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use ring::digest::{SHA256, digest};
use thiserror::Error;

/// How long things take; client-go's names and defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a holder that is not seen to renew keeps the lease.
    pub lease_duration: Duration,
    /// How long the holder tries to renew before it gives up.
    pub renew_deadline: Duration,
    /// Pause between tries.
    pub retry_period: Duration,
}

/// Durations that do not go together.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum TimingError {
    /// Others could take the lease while its holder still renews.
    #[error(
        "the lease duration ({lease_duration:?}) must be longer than the renew deadline ({renew_deadline:?})"
    )]
    LeaseDuration {
        /// The lease duration.
        lease_duration: Duration,
        /// The renew deadline.
        renew_deadline: Duration,
    },
    /// The holder could not try twice.
    #[error(
        "the renew deadline ({renew_deadline:?}) must be longer than 1.2 times the retry period ({retry_period:?})"
    )]
    RenewDeadline {
        /// The renew deadline.
        renew_deadline: Duration,
        /// The retry period.
        retry_period: Duration,
    },
    /// The holder would never pause.
    #[error("the retry period must not be zero")]
    RetryPeriod,
}

impl Timing {
    /// Says what is wrong with the durations, if anything: a holder must give up before others may take over, and
    /// must have tried more than once by then.
    pub fn check(&self) -> Result<(), TimingError> {
        let Self {
            lease_duration,
            renew_deadline,
            retry_period,
        } = *self;
        if lease_duration <= renew_deadline {
            return Err(TimingError::LeaseDuration {
                lease_duration,
                renew_deadline,
            });
        }
        // client-go's factor, by which its tries are spread.
        if renew_deadline <= retry_period.mul_f64(1.2) {
            return Err(TimingError::RenewDeadline {
                renew_deadline,
                retry_period,
            });
        }
        if retry_period.is_zero() {
            return Err(TimingError::RetryPeriod);
        }
        Ok(())
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease_duration: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry_period: Duration::from_secs(2),
        }
    }
}

/// The fields of a Lease that elections read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaseRecord {
    /// Who holds it; empty after a release.
    pub holder: String,
    /// Seconds that the holder asked for.
    pub duration_seconds: i32,
    /// How often the holder changed.
    pub transitions: i32,
    /// The holder's renewal stamp, as text: it is compared, never trusted as a time.
    pub renewed: Option<String>,
}

/// A record, and when this process first saw it in this form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The record.
    pub record: LeaseRecord,
    /// When the record was first seen in this form, on the steady clock of this process.
    pub since: Timestamp,
}

/// Who runs for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Name of this candidate, which no other process has, not even its own successor.
    pub identity: String,
    /// Name of the pod. No two processes that live at the same time have it.
    pub pod: Option<String>,
}

impl LeaseRecord {
    /// Reads the fields.
    pub fn of(lease: &Lease) -> Self {
        let spec = lease.spec.clone().unwrap_or_default();
        Self {
            holder: spec.holder_identity.unwrap_or_default(),
            duration_seconds: spec.lease_duration_seconds.unwrap_or_default(),
            transitions: spec.lease_transitions.unwrap_or_default(),
            renewed: spec.renew_time.map(|time| time.0.to_string()),
        }
    }
}

impl Observed {
    /// True when the record has not changed for the duration that it asks for itself, so that its holder is dead. `now`
    /// is a time of the steady clock.
    pub fn is_silent(&self, now: Timestamp) -> bool {
        let patience = SignedDuration::from_secs(i64::from(self.record.duration_seconds.max(1)));
        now.duration_since(self.since) >= patience
    }
}

impl Candidate {
    /// The candidate of a process in the pod of that name, or outside of pods on the host of that name.
    ///
    /// The name of a host never stands for a pod: two processes outside of Kubernetes share it, and so do two pods in
    /// the network of their node.
    pub fn new(pod: Option<String>, host: &str) -> Self {
        let unique = uuid::Uuid::new_v4();
        Self {
            identity: format!("{}_{unique}", pod.as_deref().unwrap_or(host)),
            pod,
        }
    }

    /// Ten letters for the names of objects, the same for all processes of one pod.
    pub fn short_id(&self) -> String {
        let name = self.pod.as_deref().unwrap_or(&self.identity);
        let hash = digest(&SHA256, name.as_bytes());
        hash.as_ref()[..5]
            .iter()
            .fold(String::new(), |id, byte| format!("{id}{byte:02x}"))
    }

    /// True when `holder` was an earlier process of the same pod. It is dead: a container starts after the one before
    /// has ended.
    pub fn succeeds(&self, holder: &str) -> bool {
        let pod_of_holder = holder.rsplit_once('_').map(|(pod, _)| pod);
        self.pod.is_some() && pod_of_holder == self.pod.as_deref()
    }
}

impl From<&str> for Candidate {
    fn from(identity: &str) -> Self {
        Self {
            identity: identity.to_owned(),
            pod: None,
        }
    }
}

/// What to do with the lease now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// There is none: create it.
    Create,
    /// It is free or its holder is dead: take it, with this number of transitions.
    Take {
        /// Value for `leaseTransitions`.
        transitions: i32,
    },
    /// It is ours: renew it.
    Renew,
    /// Another process holds it.
    Wait,
}

/// Decides for the candidate at `now`, a time of the steady clock: moving the time of day must not make a live
/// holder look dead.
///
/// A foreign holder counts as alive until its record has not changed for the duration that the record
/// itself asks for, measured with the local clock from when the change was seen. Clocks of other machines
/// play no part.
pub fn decide(observed: Option<&Observed>, me: &Candidate, now: Timestamp) -> Decision {
    let Some(observed) = observed else {
        return Decision::Create;
    };
    let record = &observed.record;
    if record.holder == me.identity {
        return Decision::Renew;
    }
    if record.holder.is_empty() || me.succeeds(&record.holder) {
        return Decision::Take {
            transitions: record.transitions.saturating_add(1),
        };
    }
    if observed.is_silent(now) {
        Decision::Take {
            transitions: record.transitions.saturating_add(1),
        }
    } else {
        Decision::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_000_000 + second).expect("in range")
    }

    fn seen(holder: &str, since: i64) -> Observed {
        let record = LeaseRecord {
            holder: holder.into(),
            duration_seconds: 15,
            transitions: 3,
            renewed: Some("x".into()),
        };
        Observed {
            record,
            since: at(since),
        }
    }

    fn me() -> Candidate {
        "me".into()
    }

    #[test]
    fn a_process_takes_the_lease_of_its_predecessor_in_the_same_pod_at_once() {
        let pod = |name: &str| Candidate::new(Some(name.to_owned()), "node");
        let before = pod("events-7d9f-x2x1x");
        let after = pod("events-7d9f-x2x1x");
        assert_ne!(before.identity, after.identity);
        let held = seen(&before.identity, 0);
        let taken = Decision::Take { transitions: 4 };
        assert_eq!(decide(Some(&held), &after, at(0)), taken);
        for other in ["events-7d9f-x2x1", "events-7d9f", "x2x1x", "node"] {
            assert_eq!(
                decide(Some(&held), &pod(other), at(0)),
                Decision::Wait,
                "{other}"
            );
        }
    }

    #[test]
    fn two_processes_of_one_host_do_not_take_the_lease_of_one_another() {
        let (one, other) = (Candidate::new(None, "host"), Candidate::new(None, "host"));
        let held = seen(&one.identity, 0);
        assert_eq!(decide(Some(&held), &other, at(0)), Decision::Wait);
        // Nor does a pod that has the name of the host, or the other way round.
        let pod = Candidate::new(Some("host".into()), "host");
        let held_by_pod = seen(&pod.identity, 0);
        assert_eq!(decide(Some(&held_by_pod), &one, at(0)), Decision::Wait);
    }

    #[test]
    fn durations_that_would_allow_two_leaders_are_refused() {
        assert_eq!(Timing::default().check(), Ok(()));
        let timing = |lease, renew, retry| Timing {
            lease_duration: Duration::from_secs(lease),
            renew_deadline: Duration::from_secs(renew),
            retry_period: Duration::from_secs(retry),
        };
        for (wrong, word) in [
            (timing(10, 10, 2), "lease duration"),
            (timing(15, 10, 9), "renew deadline"),
            (timing(15, 10, 0), "retry period"),
        ] {
            let error = wrong.check().expect_err("refused").to_string();
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_missing_lease_is_created() {
        assert_eq!(decide(None, &me(), at(0)), Decision::Create);
    }

    #[test]
    fn the_own_lease_is_renewed_however_old() {
        assert_eq!(
            decide(Some(&seen("me", 0)), &me(), at(100)),
            Decision::Renew
        );
    }

    #[test]
    fn a_foreign_holder_is_waited_for_until_it_has_been_silent_for_its_duration() {
        let other = seen("other", 0);
        assert_eq!(decide(Some(&other), &me(), at(14)), Decision::Wait);
        assert_eq!(
            decide(Some(&other), &me(), at(15)),
            Decision::Take { transitions: 4 }
        );
    }

    #[test]
    fn a_released_lease_is_taken_at_once() {
        assert_eq!(
            decide(Some(&seen("", 0)), &me(), at(0)),
            Decision::Take { transitions: 4 }
        );
    }

    #[test]
    fn a_record_without_duration_is_not_taken_while_fresh() {
        let mut other = seen("other", 0);
        other.record.duration_seconds = 0;
        assert_eq!(decide(Some(&other), &me(), at(0)), Decision::Wait);
        assert_eq!(
            decide(Some(&other), &me(), at(1)),
            Decision::Take { transitions: 4 }
        );
    }
}
