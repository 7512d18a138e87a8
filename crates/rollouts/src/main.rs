//! The `rollouts` program.

use clap::Parser;
use reconcile_core::{clock::Clock, operator::block_on, telemetry};
use rollouts::{
    args::{Cli, Command, without_upstream_only},
    controller, offline,
};

fn main() -> anyhow::Result<()> {
    let (arguments, dropped) = without_upstream_only(std::env::args());
    match Cli::parse_from(arguments).command {
        Command::Controller(args) => {
            telemetry::init(&args.log.level, args.log.format)?;
            for flag in dropped {
                tracing::warn!(flag, "flag accepted and without effect");
            }
            block_on(controller::run(*args))?
        }
        Command::Plan(args) => {
            offline::run(&args, Clock::system().now(), &mut std::io::stdout().lock())
        }
    }
}
