//! `argo-cd-lite`: keeps a cluster as Git says.

use clap::Parser;

use argo_cd_lite::args::{Cli, Command};

fn main() -> anyhow::Result<()> {
    let Cli { command } = Cli::parse();
    match command {
        Command::Controller(args) => {
            reconcile_core::operator::block_on(argo_cd_lite::controller::run(*args))?
        }
    }
}
