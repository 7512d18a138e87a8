//! Permits for threads, shared fairly between servers and projects.
//!
//! A host, and a project, may hold as many permits as it leaves free: alone half of them, beside others an equal
//! share. However many repositories one tenant names, threads are left for the rest. Whoever holds least goes first.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use reconcile_core::shares::Shares;
use tokio::sync::oneshot;

/// What a call is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The host that is called, if one is.
    pub host: Option<String>,
    /// The projects that want it. It counts for the one that holds least, so that nobody slows a repository of others
    /// by following it, too.
    pub projects: Vec<String>,
}

impl Share {
    /// A call for one project that needs no server.
    pub fn of_project(project: &str) -> Self {
        Self {
            host: None,
            projects: vec![project.to_owned()],
        }
    }
}

/// Whether a share is limited, or only decides who is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// A host or project leaves as much free as it holds: its calls may take long.
    LeaveFree,
    /// Nothing stays idle while somebody waits: calls are short.
    UseAll,
}

/// A number of permits. Cloning shares them.
#[derive(Clone, Debug)]
pub(crate) struct Permits(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    sharing: Sharing,
    threads: Shares<Holder>,
    waiting: VecDeque<Waiting>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Holder {
    Host(String),
    Project(String),
}

#[derive(Debug)]
struct Waiting {
    share: Share,
    give: oneshot::Sender<Permit>,
}

/// One permit; it comes back when it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    permits: Permits,
    holders: Vec<Holder>,
}

impl Permits {
    pub(crate) fn new(count: usize, sharing: Sharing) -> Self {
        Self(Arc::new(Mutex::new(State {
            sharing,
            threads: Shares::new(count),
            waiting: VecDeque::new(),
        })))
    }

    /// Waits for a permit.
    pub(crate) async fn acquire(&self, share: Share) -> Permit {
        let (give, given) = oneshot::channel();
        self.0.lock().waiting.push_back(Waiting { share, give });
        self.serve();
        given.await.expect("who waits is kept until it is served")
    }

    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.0.lock().threads.free()
    }

    /// Gives permits to those who may have one.
    fn serve(&self) {
        loop {
            let mut state = self.0.lock();
            state.waiting.retain(|waiting| !waiting.give.is_closed());
            let Some((next, holders)) = state.next() else {
                return;
            };
            state.threads.take(&holders, 1);
            drop(state);
            // One that nobody waits for any longer comes back at once.
            drop(next.give.send(Permit {
                permits: self.clone(),
                holders,
            }));
        }
    }
}

impl State {
    /// Takes the next one out of the queue: that whose project, and then whose host, holds least.
    fn next(&mut self) -> Option<(Waiting, Vec<Holder>)> {
        if self.threads.free() == 0 {
            return None;
        }
        let (_, index, holders) = self
            .waiting
            .iter()
            .enumerate()
            .filter_map(|(index, waiting)| {
                let (burden, holders) = self.burden(&waiting.share)?;
                Some((burden, index, holders))
            })
            .min_by_key(|(burden, index, _)| (*burden, *index))?;
        Some((self.waiting.remove(index)?, holders))
    }

    /// What its project and its host hold, and who would hold the permit; `None` when it may have none now.
    fn burden(&self, share: &Share) -> Option<([usize; 2], Vec<Holder>)> {
        let held = |holder: &Holder| self.threads.held(holder);
        let host = share.host.clone().map(Holder::Host);
        let project = share
            .projects
            .iter()
            .cloned()
            .map(Holder::Project)
            .min_by_key(held);
        let of = |holder: &Option<Holder>| holder.as_ref().map_or(0, held);
        let burden = [of(&project), of(&host)];
        let holders: Vec<Holder> = project.into_iter().chain(host).collect();
        let admitted = self.sharing == Sharing::UseAll || self.threads.admits(&holders, 1);
        admitted.then_some((burden, holders))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.permits.0.lock().threads.release(&self.holders, 1);
        self.permits.serve();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn share(host: &str, projects: &[&str]) -> Share {
        Share {
            host: Some(host.to_owned()),
            projects: projects.iter().map(ToString::to_string).collect(),
        }
    }

    /// As many permits as are given at once.
    fn fill(permits: &Permits, share: impl Fn(usize) -> Share) -> Vec<Permit> {
        (0..100)
            .map_while(|at| permits.acquire(share(at)).now_or_never())
            .collect()
    }

    #[test]
    fn a_host_with_many_repositories_leaves_threads_to_the_others() {
        let permits = Permits::new(16, Sharing::LeaveFree);
        let evil = fill(&permits, |_| share("evil.example", &["evil"]));
        assert_eq!(evil.len(), 8);
        let other = fill(&permits, |_| share("git.example", &["shop"]));
        assert_eq!(other.len(), 4);
        drop(evil);
        assert_eq!(permits.free(), 12);
    }

    #[test]
    fn a_project_with_many_hosts_leaves_threads_to_the_others() {
        let permits = Permits::new(16, Sharing::LeaveFree);
        let evil = fill(&permits, |at| {
            share(&format!("{at}.evil.example"), &["evil"])
        });
        assert_eq!(evil.len(), 8);
        let shared = permits.acquire(share("git.example", &["evil", "shop"]));
        assert!(
            shared.now_or_never().is_some(),
            "it counts for the project that holds less"
        );
    }

    #[test]
    fn one_thread_is_enough_for_one_after_the_other() {
        let permits = Permits::new(1, Sharing::LeaveFree);
        let first = permits.acquire(share("a", &[])).now_or_never();
        assert!(first.is_some());
        let mut second = Box::pin(permits.acquire(share("a", &[])));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        assert!(second.now_or_never().is_some());
    }

    #[test]
    fn who_holds_least_is_next_and_who_left_is_passed_over() {
        let permits = Permits::new(2, Sharing::UseAll);
        let mut busy = fill(&permits, |_| Share::of_project("busy"));
        assert_eq!(busy.len(), 2, "nothing stays idle");
        let mut left = Box::pin(permits.acquire(Share::of_project("left")));
        let mut more = Box::pin(permits.acquire(Share::of_project("busy")));
        let mut other = Box::pin(permits.acquire(Share::of_project("other")));
        for waiting in [&mut left, &mut more, &mut other] {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        drop(left);
        busy.pop();
        assert!(more.as_mut().now_or_never().is_none());
        let given = other.now_or_never();
        assert!(given.is_some());
        drop(given);
        assert!(more.now_or_never().is_some());
    }
}
