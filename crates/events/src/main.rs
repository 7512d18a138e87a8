//! The `events` binary.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use events::{
    args::{Cli, Command},
    offline::{lint, simulate},
    run,
};
use reconcile_core::{args::parse, clock::Clock, operator};

fn main() -> ExitCode {
    let (Cli { command }, ignored) =
        parse(std::env::args_os(), "controller").unwrap_or_else(|error| error.exit());
    let mut out = io::stdout();
    let answer = match command {
        Command::Controller(args) => {
            return operator::run(&args.log.clone(), &ignored, run::controller(*args));
        }
        Command::Lint(args) => lint::run(&args, &mut out),
        Command::Simulate(args) => simulate::run(&args, Clock::system().now(), &mut out),
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
