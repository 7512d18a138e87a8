//! `bed up|down|status|env|exec|build`: the test bed as a program.

use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use e2e::bed::Control;
use e2e::state::{self, State};
use e2e::tools::{self, Tool};
use e2e::usage::Usage;
use e2e::{Bed, Options, isolated};
use rustix::process::{Pid, Signal, kill_process};
use tokio::signal::unix::{SignalKind, signal};

/// How long `up --detach` and `down` wait.
const DETACHED: Duration = Duration::from_mins(3);

/// A real control plane with simulated nodes, NATS `JetStream`, Prometheus and a Git server, with one command.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Starts a bed and keeps it until Ctrl-C.
    Up(Up),
    /// Stops a bed and removes everything it made.
    Down(Named),
    /// Shows the parts of a running bed.
    Status(Named),
    /// Prints shell lines that point other programs to a running bed: eval "$(bed env)".
    Env(Named),
    /// Runs a command in a running bed, or in a new one that ends with it.
    Exec(Exec),
    /// Builds the binaries that are missing, and nothing else.
    Build,
}

#[derive(Debug, Args)]
struct Named {
    /// The bed's name.
    #[arg(long, default_value = "default")]
    name: String,
}

#[derive(Debug, Args)]
struct Up {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    form: Form,
    /// Returns when the bed is up and leaves it running until `bed down`.
    #[arg(long)]
    detach: bool,
}

#[derive(Debug, Args)]
struct Exec {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    form: Form,
    /// The command and its arguments, after `--`.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

#[derive(Debug, Args)]
struct Form {
    /// Uses a network namespace of its own, in which pods have real addresses and the sample application answers.
    #[arg(long)]
    isolated: bool,
    /// The bed's folder; by default a new one in the system's temporary folder.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leaves the folder with logs and data behind.
    #[arg(long)]
    keep_dir: bool,
    /// Only the cluster: no NATS, Prometheus or Git server.
    #[arg(long)]
    cluster_only: bool,
    /// Simulated nodes.
    #[arg(long, default_value_t = 10)]
    nodes: usize,
    /// Milliseconds from running containers to a ready pod.
    #[arg(long, default_value_t = 200)]
    ready_after: u64,
}

impl Form {
    fn options(&self) -> Options {
        let options = if self.cluster_only {
            Options::cluster_only()
        } else {
            Options::default()
        };
        Options {
            dir: self.dir.clone(),
            keep_dir: self.keep_dir,
            nodes: self.nodes,
            ready_after: Duration::from_millis(self.ready_after),
            ..options
        }
    }
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,kube_client=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "bed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.verb {
        Verb::Up(up) if up.detach => detach(&up),
        Verb::Up(up) => {
            go_inside(&up.form)?;
            runtime()?.block_on(foreground(&up))
        }
        Verb::Down(named) => down(&named.name),
        Verb::Status(named) => status(&named.name),
        Verb::Env(named) => env(&named.name),
        Verb::Exec(exec) => run_command(&exec),
        Verb::Build => {
            tools::ensure(&Tool::ALL)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("starting the runtime")
}

/// Starts this program again inside a network namespace where that is asked for. What must be downloaded or built is
/// done before, because there is no network inside.
fn go_inside(form: &Form) -> Result<()> {
    if !form.isolated || isolated::inside() {
        return Ok(());
    }
    let mut wanted = form.options().tools();
    wanted.extend([Tool::Helm, Tool::Kustomize]);
    tools::ensure(&wanted)?;
    let args: Vec<String> = std::env::args().skip(1).collect();
    Err(isolated::enter(&args))
}

async fn foreground(up: &Up) -> Result<ExitCode> {
    let name = &up.named.name;
    if let Some(other) = State::read(name)? {
        bail!(
            "bed {name} runs already (process {}): bed down, or choose another --name",
            other.pid
        );
    }
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    };
    tokio::pin!(stop);
    let begin = Instant::now();
    let bed = tokio::select! {
        bed = Bed::up(up.form.options()) => bed?,
        () = &mut stop => return Ok(ExitCode::from(130)),
    };
    let state = State::of(name, &bed).await;
    let published = state.publish()?;
    let mut out = std::io::stdout();
    writeln!(
        out,
        "bed {name} is up after {:.1} s",
        begin.elapsed().as_secs_f64()
    )?;
    for line in env_lines(&state) {
        writeln!(out, "  {line}")?;
    }
    writeln!(
        out,
        "Ctrl-C or `bed down --name {name}` stops it and removes everything."
    )?;
    out.flush()?;
    stop.await;
    drop(published);
    bed.down();
    Ok(ExitCode::SUCCESS)
}

/// Starts this program again without `--detach`, in a process group of its own, and waits until its bed is up.
fn detach(up: &Up) -> Result<ExitCode> {
    let name = &up.named.name;
    if let Some(other) = State::read(name)? {
        bail!("bed {name} runs already (process {})", other.pid);
    }
    let mut wanted = up.form.options().tools();
    if up.form.isolated {
        wanted.extend([Tool::Helm, Tool::Kustomize]);
    }
    tools::ensure(&wanted)?;
    let log = state::log_file(name)?;
    let out = std::fs::File::create(&log)?;
    let args = std::env::args().skip(1).filter(|arg| arg != "--detach");
    let mut child = Command::new(std::env::current_exe()?)
        .args(args)
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .process_group(0)
        .spawn()
        .context("starting the bed")?;
    let begin = Instant::now();
    while begin.elapsed() < DETACHED {
        if let Some(state) = State::read(name)? {
            let mut out = std::io::stdout();
            for line in env_lines(&state) {
                writeln!(out, "{line}")?;
            }
            return Ok(ExitCode::SUCCESS);
        }
        if child.try_wait()?.is_some() {
            bail!(
                "the bed did not come up:\n{}",
                std::fs::read_to_string(&log)?
            );
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill()?;
    bail!(
        "the bed was not up within {DETACHED:?}; see {}",
        log.display()
    )
}

fn running(name: &str) -> Result<State> {
    State::read(name)?.with_context(|| format!("no bed named {name} is running: bed up"))
}

fn down(name: &str) -> Result<ExitCode> {
    let Some(state) = State::read(name)? else {
        writeln!(std::io::stdout(), "no bed named {name} is running")?;
        return Ok(ExitCode::SUCCESS);
    };
    let pid = i32::try_from(state.pid)
        .ok()
        .and_then(Pid::from_raw)
        .context("a process id")?;
    kill_process(pid, Signal::TERM).context("asking the bed to end")?;
    let begin = Instant::now();
    while state.is_alive() {
        if begin.elapsed() > DETACHED {
            bail!("process {} does not end", state.pid);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let _foreground_beds_have_none = std::fs::remove_file(state::log_file(name)?);
    Ok(ExitCode::SUCCESS)
}

fn status(name: &str) -> Result<ExitCode> {
    let state = running(name)?;
    let mut out = std::io::stdout();
    let form = if state.isolated { ", isolated" } else { "" };
    writeln!(out, "bed {name} (process {}{form})\n", state.pid)?;
    writeln!(
        out,
        "{:<26}{:<10}{:>8}{:>10}{:>9}  LOG",
        "PART", "STATE", "PID", "MEMORY", "CPU"
    )?;
    let mut failed = false;
    for part in &state.parts {
        let usage = part.pid.and_then(|pid| Usage::of(pid).ok());
        let pid = part
            .pid
            .map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let (word, memory, cpu) = match usage {
            Some(usage) => (
                "running",
                format!("{} MiB", usage.rss_kib / 1024),
                format!("{:.1} s", usage.cpu_seconds),
            ),
            None => ("gone", "-".to_owned(), "-".to_owned()),
        };
        failed |= usage.is_none();
        let log = part.log.display();
        writeln!(
            out,
            "{:<26}{word:<10}{pid:>8}{memory:>10}{cpu:>9}  {log}",
            part.name
        )?;
    }
    writeln!(out)?;
    for line in env_lines(&state) {
        writeln!(out, "{line}")?;
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn env(name: &str) -> Result<ExitCode> {
    let mut out = std::io::stdout();
    for line in env_lines(&running(name)?) {
        writeln!(out, "{line}")?;
    }
    Ok(ExitCode::SUCCESS)
}

fn env_lines(state: &State) -> Vec<String> {
    state
        .env
        .iter()
        .map(|(key, value)| format!("export {key}='{}'", value.replace('\'', r"'\''")))
        .collect()
}

/// A command in the running bed of this name; otherwise in a new bed that lives as long as the command.
fn run_command(exec: &Exec) -> Result<ExitCode> {
    let (program, args) = exec.command.split_first().context("a command is needed")?;
    let existing = if exec.form.isolated {
        None
    } else {
        State::read(&exec.named.name)?
    };
    if let Some(state) = existing {
        let mut command = if state.isolated {
            let mut command = Command::new("nsenter");
            command
                .args(["--target", &state.pid.to_string(), "--user", "--net"])
                .args(["--preserve-credentials", "--", program]);
            command
        } else {
            Command::new(program)
        };
        let error = command.args(args).envs(&state.env).exec();
        return Err(error).with_context(|| format!("starting {program}"));
    }
    go_inside(&exec.form)?;
    runtime()?.block_on(async {
        let options = exec.form.options();
        let without_cluster = options.control == Control::None;
        let bed = Bed::up(options).await?;
        let mut command = tokio::process::Command::new(program);
        command.args(args).envs(bed.env()).kill_on_drop(true);
        if without_cluster {
            command.env_remove("KUBECONFIG");
        }
        // Ctrl-C reaches the command too, being in the terminal's foreground: we wait for its end.
        let _interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut child = command
            .spawn()
            .with_context(|| format!("starting {program}"))?;
        let code = tokio::select! {
            status = child.wait() => status?.code().unwrap_or(1),
            _ = terminate.recv() => 143,
        };
        drop(child);
        bed.down();
        Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
    })
}
