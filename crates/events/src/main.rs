//! The `events` binary.

use std::process::ExitCode;

use events::args::{Cli, Command, parse};
use reconcile_core::{operator::block_on, telemetry};

fn main() -> ExitCode {
    let (
        Cli {
            command: Command::Controller(args),
        },
        unknown,
    ) = match parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    if telemetry::init(&args.log.level, args.log.format).is_err() {
        // The log is what failed, so there is nowhere to say so.
        return ExitCode::from(2);
    }
    for flag in unknown {
        tracing::warn!(flag, "unknown flag ignored");
    }
    match block_on(events::run::controller(args)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(error)) => {
            tracing::error!(%error, "stopped");
            ExitCode::FAILURE
        }
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            ExitCode::FAILURE
        }
    }
}
