//! One pass over one object: observe, plan, apply, report, and what follows from a failure.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use kube::api::{GetParams, Request};

use super::{BUG_DELAY, Driver, failure::Failure, rights::Rights, write::Written};
use crate::{
    error::{ErrorClass, error_chain},
    object::{Kind, ObjectKey, Root},
    reconcile::{Controller, Done, Plan},
    shards::Authority,
};

/// What happens to the object after the pass.
#[derive(Debug)]
pub(super) enum Next {
    Idle,
    Gone,
    /// Another pass at once.
    Again,
    At(Timestamp),
    /// Delay, and whether the pass counts as failed.
    After(Duration, bool),
}

/// Which try of a pass it is: a conflict is read and planned again once.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Attempt {
    First,
    AfterConflict,
}

impl<C: Controller> Driver<C> {
    pub(super) async fn pass(&self, key: &ObjectKey) -> Next {
        let Some(mut root) = self.roots.get(key) else {
            self.controller.forget(key);
            self.backoff.succeeded(key);
            self.complaints.clear(key);
            self.queue.forget(key);
            return Next::Gone;
        };
        let rights = self.rights(key);
        if !C::EVERY_REPLICA && !rights.acts() && matches!(self.authority, Authority::Shards(_)) {
            // For the process that holds its shard.
            return Next::Idle;
        }
        let next = tokio::select! {
            next = self.attempts(&mut root, &rights) => next,
            // What is under way cannot be written any more; the next holder continues with what is there.
            () = rights.lost() => Next::Idle,
        };
        if rights.went() {
            // What this pass began after the driver let go.
            self.controller.let_go(key);
        }
        next
    }

    async fn attempts(&self, root: &mut Arc<Root<C::Kind>>, rights: &Rights) -> Next {
        let key = &root.key();
        let mut attempt = Attempt::First;
        loop {
            let failure = match self.once(root, rights, attempt).await {
                Ok(next) => {
                    self.backoff.succeeded(key);
                    self.complaints.clear(key);
                    return next;
                }
                Err(failure) => failure,
            };
            if failure.class == ErrorClass::Conflict && attempt == Attempt::First {
                attempt = Attempt::AfterConflict;
                match self.read_again(key, rights).await {
                    Ok(Some(fresh)) => {
                        *root = fresh;
                        continue;
                    }
                    Ok(None) => return Next::Idle,
                    Err(error) => {
                        tracing::warn!(controller = C::NAME, kind = C::Kind::KIND, object = %key, error = error_chain(&error), "cannot read the object again");
                    }
                }
            }
            return self.after_failure(key, &failure);
        }
    }

    fn after_failure(&self, key: &ObjectKey, failure: &Failure) -> Next {
        let text = &failure.text;
        match failure.class {
            ErrorClass::Invalid => {
                if self.complaints.is_new(key, text) {
                    tracing::warn!(controller = C::NAME, kind = C::Kind::KIND, object = %key, error = %text, "invalid object; waiting for a change");
                }
                // Some inputs are wrong only until something else appears, so look again now and then.
                Next::After(BUG_DELAY, true)
            }
            ErrorClass::Fenced => Next::After(Duration::from_secs(1), false),
            // Whoever asked for more is asked again before.
            ErrorClass::RetryAfter(delay) => Next::After(delay.min(BUG_DELAY), true),
            ErrorClass::Bug => {
                if self.complaints.is_new(key, text) {
                    tracing::error!(controller = C::NAME, kind = C::Kind::KIND, object = %key, error = %text, "pass failed; only a fix of the program or of its installation helps");
                }
                Next::After(BUG_DELAY, true)
            }
            ErrorClass::Conflict | ErrorClass::Transient => {
                let delay = self.backoff.failed(key);
                tracing::warn!(controller = C::NAME, kind = C::Kind::KIND, object = %key, error = %text, ?delay, "pass failed; trying again");
                Next::After(delay, true)
            }
        }
    }

    pub(super) async fn read_again(
        &self,
        key: &ObjectKey,
        rights: &Rights,
    ) -> Result<Option<Arc<Root<C::Kind>>>, kube::Error> {
        let request = Request::new(Self::url(key))
            .get(&key.name, &GetParams::default())
            .map_err(kube::Error::BuildRequest)?;
        match rights.client.request::<Root<C::Kind>>(request).await {
            Ok(root) => Ok(Some(self.remember(root))),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn once(
        &self,
        root: &Arc<Root<C::Kind>>,
        rights: &Rights,
        attempt: Attempt,
    ) -> Result<Next, Failure> {
        let now = self.clock.now();
        let observed = self.observed(root, rights, now).await?;
        let decision = C::plan(&observed, now);
        let plan = decision.as_ref();
        if C::EVERY_REPLICA && !rights.acts() {
            return self.serve(&observed, plan).await;
        }
        Self::log(root, plan);
        let leading = C::leading_events(&decision);
        let mut waiting = Vec::new();
        let mut done = Vec::with_capacity(plan.actions.len());
        let mut failure = None;
        for (index, action) in plan.actions.iter().enumerate() {
            let result = self.controller.apply(&observed, action).await;
            match &result {
                Ok(applied) if leading.is_empty() => self.emit(root, C::events(action, applied)),
                Ok(applied) => waiting.append(&mut C::events(action, applied)),
                Err(error) => failure = Some(Failure::of(error).during(action)),
            }
            done.push(Done { index, result });
            if failure.is_some() {
                break;
            }
        }
        if let Some(failure) = &failure
            && (failure.class == ErrorClass::Fenced
                || (failure.class == ErrorClass::Conflict && attempt == Attempt::First))
        {
            self.emit(root, waiting);
            return Err(failure.clone());
        }
        let report = C::report(&observed, &decision, &done, now);
        let wake = plan.wake;
        let leading = if failure.is_none() {
            leading.to_vec()
        } else {
            Vec::new()
        };
        // What was seen of a large object is not kept while its new status is sent.
        drop((observed, decision, done));
        let written = self.write_patches(root, rights, &report).await;
        if matches!(written, Ok(Written::All)) {
            self.emit(root, leading);
        }
        self.emit(root, waiting);
        if written? == Written::All {
            self.emit(root, report.events);
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        Ok(match (report.again, wake) {
            (true, _) => Next::Again,
            (false, Some(at)) => Next::At(at),
            (false, None) => Next::Idle,
        })
    }

    /// What the decision rests on. An object that cannot be observed shows the reason in its status.
    async fn observed(
        &self,
        root: &Arc<Root<C::Kind>>,
        rights: &Rights,
        now: Timestamp,
    ) -> Result<C::Observed, Failure> {
        let error = match self.controller.observe(root).await {
            Ok(observed) => return Ok(observed),
            Err(error) => error,
        };
        let failure = Failure::of(&error);
        if rights.acts()
            && matches!(
                failure.class,
                ErrorClass::Invalid | ErrorClass::Bug | ErrorClass::Transient
            )
        {
            let report = C::reject(root, &error, now);
            self.write(root, rights, &report).await?;
        }
        Err(failure)
    }

    /// The pass of a replica that does not lead.
    async fn serve(&self, observed: &C::Observed, plan: &Plan<C::Action>) -> Result<Next, Failure> {
        for action in plan.actions.iter().filter(|action| C::is_local(action)) {
            let applied = self.controller.apply(observed, action).await;
            applied.map_err(|error| Failure::of(&error).during(action))?;
        }
        Ok(plan.wake.map_or(Next::Idle, Next::At))
    }

    fn log(root: &Root<C::Kind>, plan: &Plan<C::Action>) {
        let quiet = plan.actions.is_empty();
        for note in &plan.notes {
            if quiet {
                tracing::debug!(controller = C::NAME, kind = C::Kind::KIND, object = %root.key(), "{note}");
            } else {
                tracing::info!(controller = C::NAME, kind = C::Kind::KIND, object = %root.key(), "{note}");
            }
        }
        for action in &plan.actions {
            tracing::debug!(controller = C::NAME, kind = C::Kind::KIND, object = %root.key(), "{action}");
        }
    }
}
