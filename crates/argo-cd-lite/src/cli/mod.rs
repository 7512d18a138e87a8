//! Verbs that need no cluster, by the code of the controller.
//!
//! ```text
//!  files ─► input ─► objects ─┬─► health ─► a line of JSON for each object
//!                             ├─► actions ─► names, or the changes that one makes
//!  Application ─► source ─► targets ─┬─► render ─► YAML
//!                                    ├─► plan ─► a line of JSON for each task, in order
//!                                    └─► diff ─► unified diff
//! ```
//!
//! What a person asked for goes to standard output, everything else to standard error. Errors name the file, the
//! field and what would be right; they never quote the content of a Secret.

mod actions;
mod application;
mod args;
mod diff;
mod health;
mod input;
mod mask;
mod plan;
mod predict;
mod render;
pub(crate) mod scope;
mod source;
mod source_error;

pub use args::{
    ActionsArgs, ActionsCommand, DiffArgs, HealthArgs, PlanArgs, RenderArgs, SourceArgs,
};

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Subcommand;
use thiserror::Error;

pub use source_error::SourceError;

/// What to answer.
#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Show the health of live objects.
    Health(HealthArgs),
    /// Show what an Application applies.
    Render(RenderArgs),
    /// Show what would change.
    Diff(DiffArgs),
    /// Show the tasks of a sync, in order.
    Plan(PlanArgs),
    /// Show and try actions on objects.
    Actions(ActionsArgs),
}

/// Why a verb gives no answer.
#[derive(Debug, Error)]
pub enum CliError {
    /// A file cannot be read, or is not what it should be.
    #[error("{file}: {reason}")]
    Input {
        /// Name of the file as it was given, or `standard input`.
        file: String,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The command line asks for something that does not go together.
    #[error("{0}")]
    Usage(String),
    /// The manifests of an Application cannot be had.
    #[error("Application {app}: {error}")]
    Source {
        /// Name of the Application.
        app: String,
        /// What is wrong.
        #[source]
        error: Box<SourceError>,
    },
    /// An action does not happen.
    #[error("{0}")]
    Action(#[from] crate::actions::ActionError),
    /// Standard output is closed.
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
}

/// Runs a verb. `diff` ends with 0 for no difference, 1 for one and 2 for an error; the others with 0 or 1.
pub fn run(verb: &Verb) -> ExitCode {
    let mut out = io::stdout().lock();
    let failure = match verb {
        Verb::Diff(_) => 2,
        _ => 1,
    };
    match answer(verb, &mut out).and_then(|code| Ok(out.flush().map(|()| code)?)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            warn(&format!("error: {error}"));
            ExitCode::from(failure)
        }
    }
}

/// Writes the answer and gives the exit code.
fn answer(verb: &Verb, out: &mut impl Write) -> Result<u8, CliError> {
    match verb {
        Verb::Health(args) => health::run(args, out).map(|()| 0),
        Verb::Actions(args) => actions::run(args, out).map(|()| 0),
        Verb::Render(args) => render::run(args, out).map(|()| 0),
        Verb::Plan(args) => plan::run(args, out).map(|()| 0),
        Verb::Diff(args) => diff::run(args, out).map(u8::from),
    }
}

/// Prints a remark beside the answer. There is no place to report a failure of that.
fn warn(text: &str) {
    _ = writeln!(io::stderr(), "{text}");
}

#[cfg(test)]
mod tests;
