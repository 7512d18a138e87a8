//! `CLUSTER=current`: a bed on a cluster that is there already.

use anyhow::{Context as _, Result};
use e2e::{Bed, Options};
use serde_json::Value;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn a_bed_on_the_current_context_adds_services_and_leaves_the_cluster_alone() -> Result<()> {
    let theirs = Bed::up(Options::cluster_only()).await?;
    let plane = theirs.control_plane()?;
    let name = format!("current-{}", std::process::id());
    let output = Command::new(env!("CARGO_BIN_EXE_bed"))
        .args(["exec", "--name", &name, "--"])
        .args(["sh", "-c", r#"cat "$KUBECONFIG"; test -n "$NATS_URL""#])
        .env("CLUSTER", "current")
        .env("KUBECONFIG", theirs.cluster()?.kubeconfig())
        .output()
        .await?;
    let reported = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{reported}");
    let config: Value = serde_saphyr::from_str(&String::from_utf8(output.stdout)?)?;
    let server = &config["clusters"][0]["cluster"]["server"];
    assert_eq!(server, plane.server.as_str(), "{config:#}");
    // The bed has ended; the cluster has not.
    let namespace = theirs.cluster()?.get("v1", "Namespace", "", "default");
    namespace.await?.context("the cluster still answers")?;
    Ok(())
}
