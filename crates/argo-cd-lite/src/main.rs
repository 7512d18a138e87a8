//! `argo-cd-lite`: syncs a cluster with Git repositories.

use std::process::ExitCode;

use argo_cd_lite::{
    args::{Cli, Command},
    controller,
};
use reconcile_core::{args::parse, operator};

fn main() -> ExitCode {
    let (Cli { command }, ignored) =
        parse(std::env::args_os(), "controller").unwrap_or_else(|error| error.exit());
    match command {
        Command::Controller(args) => {
            operator::run(&args.log.clone(), &ignored, controller::run(*args))
        }
    }
}
