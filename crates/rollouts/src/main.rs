//! The `rollouts` program.

use reconcile_core::{args::parse, clock::Clock, operator::block_on, telemetry};
use rollouts::{
    args::{Cli, Command},
    controller, offline,
};

fn main() -> anyhow::Result<()> {
    let (Cli { command }, unknown) =
        parse(std::env::args_os(), "controller").unwrap_or_else(|error| error.exit());
    match command {
        Command::Controller(args) => {
            telemetry::init(&args.log.level, args.log.format)?;
            for flag in unknown {
                tracing::warn!(flag, "flag accepted and without effect");
            }
            block_on(controller::run(*args))?
        }
        Command::Plan(args) => {
            offline::run(&args, Clock::system().now(), &mut std::io::stdout().lock())
        }
    }
}
