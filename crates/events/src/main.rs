//! The `events` binary.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use events::{
    args::{Cli, Command},
    offline::{lint, simulate},
    operate::{dlq, explain, publish, tail},
    run,
};
use reconcile_core::{args::parse, clock::Clock, operator};

/// Runs a command that speaks to servers.
fn wait_for(command: impl Future<Output = anyhow::Result<bool>>) -> anyhow::Result<bool> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(command)
}

fn main() -> ExitCode {
    let (Cli { command }, ignored) =
        parse(std::env::args_os(), "controller").unwrap_or_else(|error| error.exit());
    let mut out = io::stdout();
    let now = Clock::system().now();
    let answer = match command {
        Command::Controller(args) => {
            return operator::run(&args.log.clone(), &ignored, run::controller(*args));
        }
        Command::Worker(args) => {
            return operator::run(&args.log.clone(), &ignored, run::worker(*args));
        }
        Command::Lint(args) => lint::run(&args, &mut out),
        Command::Simulate(args) => simulate::run(&args, now, &mut out),
        Command::Publish(args) => wait_for(publish::run(&args, now, &mut out)),
        Command::Tail(args) => wait_for(tail::run(&args, now, &mut out)),
        Command::Dlq(args) => wait_for(dlq::run(&args, &mut out)),
        Command::Explain(args) => wait_for(explain::run(&args, now, &mut out)),
    };
    match answer {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is no place to report a failure of this.
            drop(writeln!(io::stderr(), "events: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
