//! `bench`: measures the operators, and any other process in their place, on a real control plane.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use e2e::bench::engine::Engine;
use e2e::bench::scenario::Scenario;
use e2e::bench::{self, Plan};

/// Measures speed and memory, and writes a page with the results.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
struct Cli {
    /// What to measure; may be given several times. Everything without it.
    #[arg(long, value_enum)]
    scenario: Vec<Scenario>,
    /// Objects of the load instead of the scenario's own number (1000 Applications, 10000 of `scale`, 200 of `helm`,
    /// `kustomize` and `drift`, 10000 ConfigMaps of `large`, 500 Rollouts and AnalysisRuns, 20000 events, 10000 ordered
    /// events and pairs, 20 `EventSources` of each kind, 5000 Sensors).
    #[arg(long, value_name = "N")]
    count: Option<usize>,
    /// Events per second at the fixed rate.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=2000))]
    rate: u32,
    /// Puts another process under the same load; may be given several times. The command finds `KUBECONFIG`,
    /// `NATS_URL`, `GIT_URL`, `NAMESPACE`, `METRICS_PORT`, `WEBHOOK_PORT` and `SINK_URL` in its environment.
    #[arg(long, value_name = "NAME=COMMAND")]
    engine: Vec<Engine>,
    /// Cargo's profile of our binaries; `dist` are those of the images. By default as this program was built.
    #[arg(long, value_name = "NAME", default_value = bench::machine::profile())]
    profile: String,
    /// Leaves the project's own operators out.
    #[arg(long)]
    without_ours: bool,
    /// Manifests to apply first, such as the CRDs that a foreign engine needs in place of those of our charts.
    #[arg(long, value_name = "FILE")]
    crds: Vec<PathBuf>,
    /// Seconds that one load may take.
    #[arg(long, default_value_t = 600)]
    deadline: u64,
    /// Measures nothing and writes the page from the JSON.
    #[arg(long)]
    page_only: bool,
    /// A remark for the page, such as what else the machine was doing.
    #[arg(long, value_name = "TEXT")]
    remark: Option<String>,
    /// Leaves the folders of the beds behind, with the logs of all processes.
    #[arg(long)]
    keep: bool,
    /// Measures nothing, and is the bare client of a measurement: fetches the paths below this URL, `--count` of them.
    #[arg(long, value_name = "URL", hide = true)]
    fetch: Option<String>,
    /// Seconds between two requests of the same path.
    #[arg(long, default_value_t = 10, hide = true)]
    fetch_every: u64,
    /// The page.
    #[arg(long, default_value = "docs/benchmarks.md", value_name = "FILE")]
    out: PathBuf,
    /// The same as JSON; results of scenarios that are not run again stay in it.
    #[arg(long, default_value = "docs/benchmarks.json", value_name = "FILE")]
    json: PathBuf,
}

impl Cli {
    fn scenarios(&self) -> Vec<Scenario> {
        if self.page_only {
            return Vec::new();
        }
        let chosen = |one: &Scenario| self.scenario.is_empty() || self.scenario.contains(one);
        Scenario::ALL.into_iter().filter(chosen).collect()
    }

    fn plan(self) -> Plan {
        let ours = (!self.without_ours).then_some(Engine::Ours);
        Plan {
            scenarios: self.scenarios(),
            profile: self.profile,
            engines: ours.into_iter().chain(self.engine).collect(),
            count: self.count,
            rate: self.rate,
            crds: self.crds,
            deadline: Duration::from_secs(self.deadline),
            keep: self.keep,
            page: self.out,
            json: self.json,
            remark: self.remark,
            command: std::env::args().map(quoted).collect::<Vec<_>>().join(" "),
        }
    }
}

/// A word as a shell would read it back.
fn quoted(word: String) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./=:,@%+".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    if let Some(url) = &cli.fetch {
        let count = cli.count.unwrap_or(1).try_into()?;
        return bench::fetching::run(url, count, cli.fetch_every).await;
    }
    bench::run(&cli.plan()).await
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,kube_client=off,e2e=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let cli = Cli::parse();
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(run(cli)));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _closed = writeln!(std::io::stderr(), "bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
