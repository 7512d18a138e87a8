//! The story under fire: each binary is killed (`kill -9`) once, at a random moment, and started again, as a kubelet
//! would.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;

use super::narrator::Voice;
use crate::chance::Moments;
use crate::stack::Deployed;

/// About as long as the story lasts.
const STORY: Duration = Duration::from_secs(45);

/// Kills each binary once. Returns when all of them are ready again.
pub(super) async fn each_once(operators: Arc<Vec<Deployed>>, voice: Voice) -> Result<()> {
    let mut moments = Moments::new();
    let plan: Vec<(usize, Duration)> = (0..operators.len())
        .map(|index| (index, moments.next(STORY)))
        .collect();
    let kills = plan.into_iter().map(|(index, moment)| {
        let operators = operators.clone();
        async move {
            tokio::time::sleep(moment).await;
            let deployed = &operators[index];
            let name = deployed.which.name();
            voice.warn(&format!("kill -9 {name}"));
            deployed
                .operator
                .kill_and_restart()
                .await
                .with_context(|| format!("{name} after its kill"))?;
            voice.warn(&format!("{name} is running again"));
            anyhow::Ok(())
        }
    });
    try_join_all(kills).await?;
    Ok(())
}
