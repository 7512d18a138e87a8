//! What the process needs when it is killed and started again.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::time::Instant;

use super::super::book::{Measurement, Memory};
use super::super::subject::Subject;
use super::{Case, Counts, Outcome, Session, as_u64};

/// The counter of passes over Applications.
const PASSES: &str = "argocd_app_reconcile_count{";
/// Distance of the readings.
const EVERY: Duration = Duration::from_millis(50);
/// The passes are over when none was added for so long.
const QUIET: Duration = Duration::from_secs(2);

impl Session<'_> {
    /// Kills our operator, starts it again and waits until it has reconciled the Applications. Foreign engines are left
    /// alone: their command may consist of several processes, and not all count their passes.
    pub(super) async fn restart(
        &self,
        subject: &Subject,
        idle: Memory,
        id: &'static str,
        applications: usize,
    ) -> Result<Option<Measurement>> {
        if !self.engine.is_ours() {
            return Ok(None);
        }
        let case = Case {
            id,
            title: format!(
                "the process is killed and started again: {applications} Applications reconciled"
            ),
            objects: applications,
            own_requests: 0,
        };
        let before = Counts {
            own: None,
            renders: None,
            ..self.counts(subject).await?
        };
        let start = Instant::now();
        subject.kill_and_start().await?;
        let sampler = subject.sample().await?;
        subject.until_ready().await?;
        let outcome = self.until_reconciled(subject, start, case.objects).await;
        let outcome = outcome.with_context(|| case.title.clone())?;
        let series = sampler.finish()?;
        let measured = self.measured(subject, idle, case, &before, series, outcome);
        measured.await.map(Some)
    }

    async fn until_reconciled(
        &self,
        subject: &Subject,
        start: Instant,
        objects: usize,
    ) -> Result<Outcome> {
        let (mut passes, mut last) = (0, Instant::now());
        while start.elapsed() < self.plan.deadline {
            let now = subject.counter(PASSES).await.unwrap_or(0);
            if now != passes {
                (passes, last) = (now, Instant::now());
            }
            if passes >= as_u64(objects) && last.elapsed() > QUIET {
                return Ok(Outcome {
                    done: objects,
                    took: last.duration_since(start),
                    ..Outcome::default()
                });
            }
            subject.check().await?;
            tokio::time::sleep(EVERY).await;
        }
        Ok(Outcome {
            done: usize::try_from(passes).unwrap_or(objects).min(objects),
            took: self.plan.deadline,
            ..Outcome::default()
        })
    }
}
