//! The `rollouts` program.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use reconcile_core::{args::parse, clock::Clock, operator};
use rollouts::{
    args::{Cli, Command},
    controller,
    offline::{analyze, lint, plan, simulate},
};

fn main() -> ExitCode {
    let (Cli { command }, ignored) =
        parse(std::env::args_os(), "controller").unwrap_or_else(|error| error.exit());
    let mut out = io::stdout().lock();
    let answer = match command {
        Command::Controller(args) => {
            return operator::run(&args.log.clone(), &ignored, controller::run(*args));
        }
        Command::Plan(args) => plan::run(&args, Clock::system().now(), &mut out),
        Command::Lint(args) => lint::run(&args, &mut out),
        Command::Simulate(args) => simulate::run(&args, &mut out).map(|()| true),
        Command::Analyze(args) => analyze_now(*args, &mut out),
    };
    match answer {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // There is no place to report a failure of this.
            drop(writeln!(io::stderr(), "rollouts: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn analyze_now(args: analyze::AnalyzeArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stop = async {
        // Without a handler the signal ends the process, which is what it asks for.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    runtime.block_on(analyze::run(args, stop, out))
}
