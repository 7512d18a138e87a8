//! The charts: linted, rendered with every set of values, and applied to a real API server whose namespaces enforce
//! PodSecurity `restricted`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::cluster::wait_for;
use e2e::stack::Which;
use e2e::{Bed, Options, charts};
use serde_json::{Value, json};

/// A chart with its values files: none, and each of `ci/`.
fn variants(which: Which) -> Result<Vec<Option<PathBuf>>> {
    let mut variants = vec![None];
    for entry in std::fs::read_dir(charts::path(which.name()).join("ci"))? {
        variants.push(Some(entry?.path()));
    }
    Ok(variants)
}

async fn render(which: Which, namespace: &str, values: Option<&PathBuf>) -> Result<Vec<Value>> {
    let chart = charts::path(which.name());
    let chart = chart.to_str().context("UTF-8")?;
    let mut args = vec!["template", which.name(), chart, "--namespace", namespace];
    let path = values.map(|path| path.display().to_string());
    if let Some(path) = &path {
        args.extend(["--values", path]);
    }
    e2e::cluster::documents(&charts::helm(&args).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_chart_passes_helm_lint_with_all_its_values() -> Result<()> {
    for which in Which::ALL {
        let chart = charts::path(which.name());
        let chart = chart.to_str().context("UTF-8")?;
        for values in variants(which)? {
            let path = values.map(|path| path.display().to_string());
            let mut args = vec!["lint", "--strict", chart];
            if let Some(path) = &path {
                args.extend(["--values", path]);
            }
            charts::helm(&args)
                .await
                .with_context(|| format!("{} with {path:?}", which.name()))?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_crds_are_kept_on_uninstall_and_can_be_left_out() -> Result<()> {
    for which in Which::ALL {
        let is_crd = |object: &&Value| object["kind"] == "CustomResourceDefinition";
        let objects = render(which, "x", None).await?;
        let crds: Vec<&Value> = objects.iter().filter(is_crd).collect();
        assert!(!crds.is_empty(), "{} brings no CRDs", which.name());
        for crd in crds {
            assert_eq!(
                crd["metadata"]["annotations"]["helm.sh/resource-policy"], "keep",
                "{}",
                crd["metadata"]["name"]
            );
        }
        let flag = if which == Which::Rollouts {
            "installCRDs=false"
        } else {
            "crds.install=false"
        };
        let without = charts::template(&charts::path(which.name()), "x", "x", &[flag]).await?;
        assert!(
            !without.iter().any(|object| is_crd(&object)),
            "{}",
            which.name()
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_chart_installs_on_its_own_under_pod_security_restricted() -> Result<()> {
    let bed = Bed::up(Options::cluster_only()).await?;
    let cluster = bed.cluster()?;
    for which in Which::ALL {
        for (number, values) in variants(which)?.into_iter().enumerate() {
            let namespace = format!("{}-{number}", which.namespace());
            let restricted = json!({
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": namespace, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
            });
            cluster.apply_one("", &restricted).await?;
            let mut objects = render(which, &namespace, values.as_ref()).await?;
            // CRDs first, as helm does.
            objects.sort_by_key(|object| object["kind"] != "CustomResourceDefinition");
            for object in &objects {
                let what = format!("{} {}", object["kind"], object["metadata"]["name"]);
                cluster
                    .apply_one(&namespace, object)
                    .await
                    .with_context(|| format!("{}: {what}", which.name()))?;
            }
            let deployment = objects
                .iter()
                .find(|object| object["kind"] == "Deployment")
                .context("a Deployment")?;
            let name = deployment["metadata"]["name"].as_str().context("a name")?;
            let replicas = deployment["spec"]["replicas"].clone();
            let api = cluster.api("apps/v1", "Deployment", &namespace).await?;
            wait_for(
                &api,
                name,
                "all replicas available",
                Duration::from_secs(60),
                |object| {
                    object.is_some_and(|object| {
                        object.data["status"]["availableReplicas"] == replicas
                    })
                },
            )
            .await?;
        }
    }
    Ok(())
}
