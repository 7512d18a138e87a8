//! The `events` binary.

use std::process::ExitCode;

use events::{
    args::{Cli, Command},
    run,
};
use reconcile_core::{args::parse, operator};

fn main() -> ExitCode {
    let (Cli { command }, ignored) =
        parse(std::env::args_os(), "controller").unwrap_or_else(|error| error.exit());
    match command {
        Command::Controller(args) => {
            operator::run(&args.log.clone(), &ignored, run::controller(args))
        }
    }
}
