//! The `rollouts` program.

use std::process::ExitCode;

use clap::Parser;
use reconcile_core::{operator::block_on, telemetry};
use rollouts::{
    args::{Cli, Command, without_upstream_only},
    controller,
};

fn main() -> anyhow::Result<ExitCode> {
    let (arguments, dropped) = without_upstream_only(std::env::args());
    let Command::Controller(args) = Cli::parse_from(arguments).command;
    telemetry::init(&args.log.level, args.log.format)?;
    for flag in dropped {
        tracing::warn!(flag, "flag accepted and without effect");
    }
    block_on(controller::run(*args))??;
    Ok(ExitCode::SUCCESS)
}
