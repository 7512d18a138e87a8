//! `docs/flags.md`: the command lines of the operators, as their parsers have them.

use std::fmt::Write as _;

use clap::{Arg, ArgAction, Command};

const INTRODUCTION: &str = "\
# Flags

<!-- Written by `cargo xtask docs` from the parsers of the command lines. -->

Every binary runs its operator as `BINARY controller`. Flags have the spelling of the originals where those have them; a
flag of the originals that has no meaning here is accepted.
";

pub(super) fn page() -> String {
    let mut out = String::from(INTRODUCTION);
    for command in commands() {
        let _ = writeln!(out, "\n## {}", command.get_name());
        write_commands(&mut out, command.get_name(), &command);
    }
    out
}

/// A section for each command below `command`, and for those below them.
fn write_commands(out: &mut String, name: &str, command: &Command) {
    for sub in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        let name = format!("{name} {}", sub.get_name());
        let _ = writeln!(out, "\n### `{name}`\n");
        if let Some(about) = sub.get_about() {
            let _ = writeln!(out, "{about}\n");
        }
        if sub.get_arguments().any(|arg| arg.get_long().is_some()) {
            let _ = writeln!(out, "| flag | default | |\n|---|---|---|");
        }
        for arg in sub.get_arguments() {
            write_flag(out, arg);
        }
        write_commands(out, &name, sub);
    }
}

#[cfg(feature = "operators")]
fn commands() -> Vec<Command> {
    use clap::CommandFactory as _;
    vec![
        argo_cd_lite::args::Cli::command(),
        events::args::Cli::command(),
        rollouts::args::Cli::command(),
    ]
}

#[cfg(not(feature = "operators"))]
fn commands() -> Vec<Command> {
    Vec::new()
}

fn write_flag(out: &mut String, arg: &Arg) {
    let Some(long) = arg.get_long().filter(|_| !arg.is_hide_set()) else {
        return;
    };
    let mut spellings = vec![format!("--{long}")];
    spellings.extend(
        arg.get_visible_aliases()
            .into_iter()
            .flatten()
            .map(|name| format!("--{name}")),
    );
    spellings.extend(arg.get_short().map(|short| format!("-{short}")));
    let spellings: Vec<String> = spellings.iter().map(|name| format!("`{name}`")).collect();
    let flag_only = matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse);
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .filter(|_| !flag_only)
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .filter(|value| value != "``")
        .collect();
    let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    if !help.is_empty() && !help.ends_with('.') {
        help.push('.');
    }
    if let Some(name) = arg.get_env() {
        let _ = write!(help, " Environment: `{}`.", name.to_string_lossy());
    }
    // A bar would end the cell.
    let help = help.replace('|', "\\|").replace('\n', " ");
    let _ = writeln!(
        out,
        "| {} | {} | {help} |",
        spellings.join(" "),
        defaults.join(" ")
    );
}
