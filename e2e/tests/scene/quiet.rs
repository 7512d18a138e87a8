//! Whether an operator leaves everything alone.

use std::time::{Duration, Instant};

use anyhow::Result;
use e2e::bench::book::Requests;
use e2e::stack::Which;

use super::Scene;

/// How often is looked.
const EVERY: Duration = Duration::from_secs(1);

impl Scene {
    /// What argo-cd-lite has changed so far, tries and dry runs included: verbs and kinds with their number. Applications
    /// are left out: their status follows the health of what other controllers do.
    pub async fn changes(&self) -> Result<Requests> {
        let url = self.operator(Which::ArgoCdLite)?.metrics();
        let mut found = Requests::read_from(&url).await?.of_objects();
        found.0.retain(|key, _| !key.contains(" applications"));
        Ok(found)
    }

    /// What argo-cd-lite changes within this time. It ends with the first change.
    pub async fn changes_within(&self, time: Duration) -> Result<Requests> {
        let before = self.changes().await?;
        let began = Instant::now();
        while began.elapsed() < time {
            let found = self.changes().await?.since(&before);
            if found.total() > 0 {
                return Ok(found);
            }
            tokio::time::sleep(EVERY).await;
        }
        Ok(Requests::default())
    }
}
