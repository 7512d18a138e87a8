//! The `rollouts` program.

use std::process::ExitCode;

use reconcile_core::{args::parse, clock::Clock, operator};
use rollouts::{
    args::{Cli, Command},
    controller, offline,
};

fn main() -> anyhow::Result<ExitCode> {
    let (Cli { command }, ignored) =
        parse(std::env::args_os(), "controller").unwrap_or_else(|error| error.exit());
    match command {
        Command::Controller(args) => Ok(operator::run(
            &args.log.clone(),
            &ignored,
            controller::run(*args),
        )),
        Command::Plan(args) => {
            let now = Clock::system().now();
            offline::run(&args, now, &mut std::io::stdout().lock())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}
