//! `argo-cd-lite`: syncs a cluster with Git repositories.

use std::process::ExitCode;

use argo_cd_lite::{
    args::{Cli, Command},
    cli, controller,
    render::evaluate_jsonnet,
};
use reconcile_core::{args::parse, operator};

fn main() -> ExitCode {
    let arguments = Cli::with_default(std::env::args_os());
    let (Cli { command }, ignored) =
        parse(arguments, "controller").unwrap_or_else(|error| error.exit());
    match command {
        Command::Controller(args) => {
            operator::run(&args.log.clone(), &ignored, controller::run(*args))
        }
        Command::Verb(verb) => cli::run(&verb),
        Command::Jsonnet { request } => evaluate_jsonnet(&request),
    }
}
