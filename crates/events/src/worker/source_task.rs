//! The task of an event that is brought in: runs its source again and again.

use crate::{
    panics,
    source::{SourceContext, kind::SourceError},
};

/// Runs the source until it is dropped, and reports what is in its way.
pub(super) async fn run(context: SourceContext) {
    let mut reported = String::new();
    let mut tried = 0;
    loop {
        context.emitter.bus.ready().await;
        let ended = panics::caught(context.source().run(&context)).await;
        if let Err(error) = ended.unwrap_or_else(|panic| Err(SourceError::Panicked(panic))) {
            let reason = context.redact(error.to_string());
            if reported != reason {
                tracing::warn!(eventsource = %context.emitter.key, event = context.event(), reason, "source interrupted");
                reported.clone_from(&reason);
            }
            context.report(Some(reason));
        }
        tried = if context.was_connected() {
            1
        } else {
            tried + 1
        };
        let pause = context.reconnect().pause(tried, rand::random());
        tokio::time::sleep(pause).await;
    }
}
