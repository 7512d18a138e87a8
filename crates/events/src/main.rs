//! The `events` binary.

use std::{
    io::{Write as _, stderr},
    process::ExitCode,
};

use events::args::{Cli, Command};
use reconcile_core::{args::parse, operator::block_on, telemetry};

fn main() -> ExitCode {
    let (
        Cli {
            command: Command::Controller(args),
        },
        unknown,
    ) = match parse(std::env::args_os(), "controller") {
        Ok(parsed) => parsed,
        Err(error) => error.exit(),
    };
    if let Err(error) = telemetry::init(&args.log.level, args.log.format) {
        // The log is what failed. Nobody is left to be told when standard error is gone too.
        let _ = writeln!(stderr(), "{error}");
        return ExitCode::from(2);
    }
    for flag in unknown {
        tracing::warn!(flag, "flag accepted and without effect");
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
