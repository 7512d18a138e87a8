//! `argo-cd-lite`: keeps a cluster as Git says.

use argo_cd_lite::{
    args::{Cli, Command},
    controller,
};
use reconcile_core::{args::parse, operator::block_on, telemetry};

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
    }
}
