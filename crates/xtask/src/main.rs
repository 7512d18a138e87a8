//! `cargo xtask`: generated files and checks of this repository.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    xtask::run(&xtask::Cli::parse())
}
