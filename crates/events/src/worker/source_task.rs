//! The task of an event that is brought in: runs its source again and again.

use std::time::Duration;

use crate::source::SourceContext;

/// Pause after a source has ended.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs the source until it is dropped, and reports what is in its way.
pub(super) async fn run(context: SourceContext) {
    let mut reported = String::new();
    loop {
        context.emitter.bus.ready().await;
        if let Err(error) = context.source().run(&context).await {
            let reason = context.redact(error.to_string());
            if reported != reason {
                tracing::warn!(eventsource = %context.emitter.key, event = context.event(), reason, "source interrupted");
                reported.clone_from(&reason);
            }
            context.report(Some(reason));
        }
        tokio::time::sleep(PAUSE).await;
    }
}
