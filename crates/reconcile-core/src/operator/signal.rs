//! The signals that stop the process.

use tokio_util::sync::CancellationToken;

/// Cancels `shutdown` at SIGTERM or Ctrl-C.
pub(super) async fn cancel_on_stop(shutdown: CancellationToken) {
    stop_signal().await;
    tracing::info!("stopping: finishing the work in flight");
    shutdown.cancel();
}

async fn stop_signal() {
    let mut terminate =
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(signal) => signal,
            Err(error) => {
                tracing::error!(%error, "cannot listen for SIGTERM");
                return std::future::pending().await;
            }
        };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
