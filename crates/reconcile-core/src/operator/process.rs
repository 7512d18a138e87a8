//! The frame of every `main`.

use std::{
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use crate::{args::LogArgs, error::error_chain, telemetry};

/// Time that is left to threads after the end, such as one that reads from a Git server: enough to finish a file, and
/// short, because a process that lost its lease must be gone before another one leads.
const LAST_THREADS: Duration = Duration::from_secs(1);

/// Installs the one TLS provider of the process. Several libraries contain one, and rustls refuses
/// to choose; so every binary and test calls this first. Calling it twice is harmless.
pub fn install_tls() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

/// Runs `main` on a runtime sized for an operator: two workers, because the work is waiting, and few
/// blocking threads, because each has a stack.
fn block_on<T>(main: impl Future<Output = T>) -> io::Result<T> {
    const WORKERS: usize = 2;
    const BLOCKING: usize = 8;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(main);
    runtime.shutdown_timeout(LAST_THREADS);
    Ok(outcome)
}

/// Runs `main` with the log and the runtime, warns of each flag that has no effect, and logs why the process ends.
pub fn run<E: Into<Box<dyn Error + Send + Sync>>>(
    log: &LogArgs,
    ignored: &[String],
    main: impl Future<Output = Result<(), E>>,
) -> ExitCode {
    if let Err(error) = telemetry::init(&log.level, log.format) {
        // The log is what failed. Nothing can be done when standard error is gone too.
        let _ = writeln!(io::stderr(), "{error}");
        return ExitCode::from(2);
    }
    for flag in ignored {
        tracing::warn!(flag, "flag accepted and without effect");
    }
    let ended = match block_on(main) {
        Ok(ended) => ended.map_err(Into::into),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = error_chain(&*error), "stopped");
            ExitCode::FAILURE
        }
    }
}

/// Name of the host; in a pod the kubelet sets it to the pod's name.
pub(super) fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned())
}
