//! `make demo`: from a commit to a promoted release, on a real control plane.

use std::process::ExitCode;

use e2e::demo::Telling;
use e2e::stack::Which;
use e2e::tools::Tool;
use e2e::{Options, demo, isolated, stack, tools};

fn main() -> ExitCode {
    let telling = Telling {
        profile: "release",
        keep: is_set("KEEP"),
        kills: is_set("KILL"),
    };
    match prepare().and_then(|()| play(telling)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var(variable).is_ok_and(|value| !value.is_empty() && value != "0")
}

/// Builds what is missing while there is a network, then continues in a network of its own, in which requests reach
/// the addresses of simulated pods.
fn prepare() -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        // While the API server starts it answers with errors, which the client's own log would show.
        .with_env_filter("warn,kube_client=off,kube_runtime=off")
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    for which in Which::ALL {
        drop(stack::binary(which, "release")?);
    }
    let mut wanted = Options::default().tools();
    wanted.push(Tool::Helm);
    drop(tools::ensure(&wanted)?);
    if !isolated::inside() {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        return Err(isolated::enter(&arguments));
    }
    Ok(())
}

fn play(telling: Telling) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(demo::run(telling))
}
