//! Building the missing binaries, one at a time (Go uses every core by itself), with a progress bar for each.

use std::fs::File;
use std::io::{BufRead as _, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Tool;

/// How much of Go's output an error message shows.
const TAIL_LINES: usize = 20;

/// Builds each tool to its path. Another process that builds the same waits for us, or we for it.
pub(super) fn all(tools: &[(Tool, PathBuf)]) -> Result<()> {
    if tools.is_empty() {
        return Ok(());
    }
    let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
    let rows: Vec<ProgressBar> = tools
        .iter()
        .map(|(tool, _)| bars.add(waiting_bar(tool.name())))
        .collect();
    for ((tool, path), bar) in tools.iter().zip(rows) {
        let dir = path.parent().context("a cached binary has a folder")?;
        std::fs::create_dir_all(dir)?;
        let lock = File::create(dir.join(".lock"))?;
        if lock.try_lock().is_err() {
            bar.set_message("another process builds it");
            lock.lock().context("waiting for another build")?;
        }
        if path.is_file() {
            bar.finish_with_message("built by another process");
            continue;
        }
        say(&format!("building {} (once, for this cache)", tool.name()));
        one(*tool, path, &bar)?;
        say(&format!(
            "built {} in {} s",
            tool.name(),
            bar.elapsed().as_secs()
        ));
    }
    Ok(())
}

/// A line for logs, where no bar is drawn.
fn say(line: &str) {
    let mut out = std::io::stderr();
    if !out.is_terminal() {
        let _closed = writeln!(out, "{line}");
    }
}

fn waiting_bar(name: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(1);
    bar.set_style(style("{prefix:>24} {msg}"));
    bar.set_prefix(name);
    bar.set_message("waiting");
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn one(tool: Tool, path: &Path, bar: &ProgressBar) -> Result<()> {
    bar.set_message("fetching and counting packages");
    bar.enable_steady_tick(Duration::from_millis(200));
    bar.set_length(packages(tool)?);
    bar.set_style(style(
        "{prefix:>24} [{bar:32}] {pos:>4}/{len:4} packages {elapsed:>4} {wide_msg}",
    ));
    bar.set_message("");
    bar.reset_elapsed();
    // Not visible under its final name before it is whole.
    let partial = path.with_extension("partial");
    let mut child = go(tool)
        .args(["build", "-v", "-trimpath", "-tags", tool.tags(), "-ldflags"])
        .arg(tool.linker_flags())
        .arg("-o")
        .arg(&partial)
        .arg(tool.package())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting go build")?;
    let mut lines = Vec::new();
    if let Some(output) = child.stderr.take() {
        for line in BufReader::new(output).lines() {
            let line = line?;
            bar.inc(1);
            bar.set_message(line.clone());
            lines.push(line);
        }
    }
    if !child.wait()?.success() {
        bar.abandon_with_message("failed");
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        bail!(
            "building {} failed (go build {} in {}):\n{}",
            tool.name(),
            tool.package(),
            tool.module_dir().display(),
            tail.join("\n")
        );
    }
    std::fs::rename(&partial, path).with_context(|| format!("placing {}", path.display()))?;
    bar.set_style(style("{prefix:>24} {msg}"));
    bar.finish_with_message(format!("built in {} s", bar.elapsed().as_secs()));
    Ok(())
}

/// How many packages the binary is made of. Those in Go's own cache are not compiled again and not counted later.
fn packages(tool: Tool) -> Result<u64> {
    let output = go(tool)
        .args([
            "list",
            "-deps",
            "-tags",
            tool.tags(),
            "-f",
            "{{.ImportPath}}",
            tool.package(),
        ])
        .output()
        .context("starting go list")?;
    if !output.status.success() {
        bail!(
            "go list {} in {}:\n{}",
            tool.package(),
            tool.module_dir().display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let packages = String::from_utf8_lossy(&output.stdout).lines().count();
    Ok(u64::try_from(packages)?)
}

fn go(tool: Tool) -> Command {
    let mut command = Command::new("go");
    // The same binary whatever the user's flags are.
    command
        .current_dir(tool.module_dir())
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("GOWORK", "off");
    command
}
