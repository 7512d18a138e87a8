//! `manifests/`: what `kubectl apply` needs to install each component, rendered from its chart.
//!
//! `UPDATE_MANIFESTS=1` (`make manifests`) writes the files; otherwise they must be what the charts render.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use e2e::charts;
use e2e::stack::Which;
use e2e::{Bed, Options};
use reconcile_core::yaml;
use serde_json::Value;

/// Longest text of all annotations of an object; `kubectl apply` adds the object itself as one.
const ANNOTATIONS: usize = 256 << 10;

/// A file of `manifests/COMPONENT` and the values of the chart that make it.
struct Install {
    file: &'static str,
    values: &'static [&'static str],
}

/// The whole installation, and the one that needs no rights beyond its namespace and brings no CRDs.
fn installs(which: Which) -> [Install; 2] {
    let values: &[&str] = match which {
        Which::ArgoCdLite => &[
            "createClusterRoles=false",
            "createAggregateRoles=false",
            "crds.install=false",
        ],
        Which::Events => &[
            "controller.rbac.namespaced=true",
            "createAggregateRoles=false",
            "crds.install=false",
        ],
        Which::Rollouts => &[
            "clusterInstall=false",
            "createClusterAggregateRoles=false",
            "installCRDs=false",
        ],
    };
    [
        Install {
            file: "install.yaml",
            values: &[],
        },
        Install {
            file: "namespace-install.yaml",
            values,
        },
    ]
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../manifests")
}

/// The objects without the marks of Helm.
async fn render(which: Which, install: &Install) -> Result<Vec<Value>> {
    let chart = charts::path(which.name());
    let mut objects =
        charts::template(&chart, which.name(), which.namespace(), install.values).await?;
    for object in &mut objects {
        let at_pods = object.pointer_mut("/spec/template/metadata");
        at_pods.into_iter().for_each(unmark);
        unmark(&mut object["metadata"]);
    }
    Ok(objects)
}

fn unmark(metadata: &mut Value) {
    for (map, names) in [
        (
            "labels",
            ["helm.sh/chart", "app.kubernetes.io/managed-by"].as_slice(),
        ),
        ("annotations", &["helm.sh/resource-policy"]),
    ] {
        let Some(entries) = metadata[map].as_object_mut() else {
            continue;
        };
        for name in names {
            entries.remove(*name);
        }
        if entries.is_empty()
            && let Some(metadata) = metadata.as_object_mut()
        {
            metadata.remove(map);
        }
    }
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.retain(|_, value| !value.is_null());
    }
}

fn text(which: Which, objects: &[Value]) -> String {
    let mut text = format!(
        "# Written by `make manifests` from charts/{}.\n# kubectl create namespace {namespace}\n# kubectl apply -n {namespace} -f FILE\n",
        which.name(),
        namespace = which.namespace(),
    );
    for object in objects {
        text.push_str("---\n");
        text.push_str(&yaml::to_string(object));
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_are_what_the_charts_render() -> Result<()> {
    let update = std::env::var_os("UPDATE_MANIFESTS").is_some();
    let mut stale = Vec::new();
    for which in Which::ALL {
        for install in installs(which) {
            let path = folder().join(which.name()).join(install.file);
            let wanted = text(which, &render(which, &install).await?);
            if std::fs::read_to_string(&path).is_ok_and(|found| found == wanted) {
                continue;
            }
            if update {
                std::fs::create_dir_all(path.parent().context("a folder")?)?;
                std::fs::write(&path, wanted)?;
            } else {
                stale.push(path.display().to_string());
            }
        }
    }
    ensure!(
        stale.is_empty(),
        "not up to date, run `make manifests`: {stale:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_can_be_applied() -> Result<()> {
    let bed = Bed::up(Options::cluster_only()).await?;
    let cluster = bed.cluster()?;
    for which in Which::ALL {
        cluster.apply_namespace(which.namespace()).await?;
        for install in installs(which) {
            let path = folder().join(which.name()).join(install.file);
            let objects = e2e::cluster::documents(&std::fs::read_to_string(&path)?)?;
            let mut kinds = BTreeMap::<String, usize>::new();
            for object in &objects {
                let size = serde_json::to_string(object)?.len();
                ensure!(
                    size < ANNOTATIONS,
                    "{} {} has {size} bytes, too many for `kubectl apply`",
                    object["kind"],
                    object["metadata"]["name"]
                );
                cluster.apply_one(which.namespace(), object).await?;
                *kinds
                    .entry(object["kind"].as_str().unwrap_or_default().to_owned())
                    .or_default() += 1;
            }
            let cluster_wide = kinds
                .keys()
                .filter(|kind| kind.starts_with("Cluster") || *kind == "CustomResourceDefinition");
            if install.file == "namespace-install.yaml" {
                assert_eq!(cluster_wide.count(), 0, "{which:?}: {kinds:?}");
            } else {
                assert!(kinds["CustomResourceDefinition"] >= 3, "{kinds:?}");
            }
            assert_eq!(kinds["Deployment"], 1, "{which:?}: {kinds:?}");
        }
    }
    Ok(())
}
