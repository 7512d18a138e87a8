//! The charts: linted, rendered with every set of values, and applied to a real API server whose namespaces enforce
//! PodSecurity `restricted`.

mod scene;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::cluster::wait_for;
use e2e::stack::{Setup, Which};
use e2e::{Bed, Options, charts};
use scene::{Scene, config_map};
use serde_json::{Value, json};

/// A chart with its values files: none, and each of `ci/`.
fn variants(which: Which) -> Result<Vec<Option<PathBuf>>> {
    let mut variants = vec![None];
    for entry in std::fs::read_dir(charts::path(which.name()).join("ci"))? {
        variants.push(Some(entry?.path()));
    }
    Ok(variants)
}

async fn render(which: Which, namespace: &str, values: Option<&Path>) -> Result<Vec<Value>> {
    charts::render(&charts::path(which.name()), which.name(), namespace, values).await
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

/// What a chart renders, of its long CRDs the metadata only.
async fn rendered(which: Which, values: Option<&Path>) -> Result<Value> {
    let mut objects = render(which, "x", values).await?;
    for object in &mut objects {
        if object["kind"] == "CustomResourceDefinition" {
            object["spec"].take();
        }
    }
    Ok(Value::Array(objects))
}

/// Whether every part of `wanted` is in `found`.
fn covers(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => wanted
            .iter()
            .all(|(key, value)| found.get(key).is_some_and(|found| covers(found, value))),
        // Annotations are texts whatever they were as values; arguments and images have values inside.
        (Value::String(found), Value::String(_) | Value::Number(_)) => {
            let wanted = wanted.as_str().map_or(wanted.to_string(), str::to_owned);
            found.contains(&wanted)
        }
        _ => found == wanted,
    }
}

/// Whether a value is somewhere in what was rendered.
fn shows(rendered: &Value, wanted: &Value) -> bool {
    covers(rendered, wanted)
        || match rendered {
            Value::Array(items) => items.iter().any(|item| shows(item, wanted)),
            Value::Object(fields) => fields.values().any(|field| shows(field, wanted)),
            _ => false,
        }
}

/// Pointers to all values: scalars, and lists as a whole.
fn leaves(value: &Value, at: &str, found: &mut Vec<String>) {
    match value.as_object() {
        Some(fields) if !fields.is_empty() => {
            for (key, value) in fields {
                let key = key.replace('~', "~0").replace('/', "~1");
                leaves(value, &format!("{at}/{key}"), found);
            }
        }
        _ => found.push(at.to_owned()),
    }
}

fn read_yaml(path: &Path) -> Result<Value> {
    let text = std::fs::read_to_string(path)?;
    let documents = e2e::cluster::documents(&text)?;
    documents.into_iter().next().context("an empty file")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_values_file_of_argo_helm_carries_over() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for which in Which::ALL {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/values/{}.yaml", which.name()));
        let values = read_yaml(&path)?;
        let without = rendered(which, None).await?;
        let with = rendered(which, Some(&path)).await?;
        let mut all = Vec::new();
        leaves(&values, "", &mut all);
        for at in all {
            let what = format!("{} of {}", at, which.name());
            match values.pointer(&at).context("a value")? {
                // A switch is not seen itself: what is rendered is not the same without it.
                Value::Bool(switch) => {
                    let mut others = values.clone();
                    *others.pointer_mut(&at).context("a value")? = Value::Bool(!switch);
                    let path = folder.path().join("values.json");
                    std::fs::write(&path, others.to_string())?;
                    let differs = rendered(which, Some(&path)).await? != with;
                    assert!(differs, "{what} changes nothing");
                }
                Value::Array(items) => {
                    for item in items {
                        assert!(shows(&with, item), "{what}: {item} is not rendered");
                        assert!(!shows(&without, item), "{what}: {item} is the default");
                    }
                }
                value => {
                    assert!(shows(&with, value), "{what}: {value} is not rendered");
                    assert!(!shows(&without, value), "{what}: {value} is the default");
                }
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_the_controller_counts_more_than_the_one_of_all() -> Result<()> {
    let image = async |which: Which, values: &[&str]| -> Result<String> {
        let objects = charts::template(&charts::path(which.name()), "x", "x", values).await?;
        let deployment = objects
            .iter()
            .find(|object| object["kind"] == "Deployment")
            .context("a Deployment")?;
        let container = &deployment["spec"]["template"]["spec"]["containers"][0];
        Ok(format!(
            "{} {}",
            container["image"].as_str().context("an image")?,
            container["imagePullPolicy"].as_str().context("a policy")?
        ))
    };
    for which in [Which::ArgoCdLite, Which::Events] {
        let of_all = ["global.image.repository=r/all", "global.image.tag=v1"];
        assert_eq!(image(which, &of_all).await?, "r/all:v1 IfNotPresent");
        let own = [
            of_all[0],
            of_all[1],
            "controller.image.repository=r/own",
            "controller.image.tag=v2",
            "controller.image.imagePullPolicy=Always",
        ];
        assert_eq!(image(which, &own).await?, "r/own:v2 Always");
    }
    let whole = [
        "controller.image.registry=r",
        "controller.image.repository=own",
        "controller.image.tag=v2",
    ];
    assert_eq!(
        image(Which::Rollouts, &whole).await?,
        "r/own:v2 IfNotPresent"
    );
    let no_registry = ["controller.image.registry=", whole[1], whole[2]];
    assert_eq!(
        image(Which::Rollouts, &no_registry).await?,
        "own:v2 IfNotPresent"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_can_allow_none_and_must_protect_something() -> Result<()> {
    for which in Which::ALL {
        for nothing in ["minAvailable=0", "maxUnavailable=100%"] {
            let set = format!("controller.pdb.{nothing}");
            let values = ["controller.pdb.enabled=true", &set];
            let refused = charts::template(&charts::path(which.name()), "x", "x", &values).await;
            let error = refused.err().context("a budget that protects nothing")?;
            assert!(error.to_string().contains("protects nothing"), "{error:#}");
        }
        for (field, count) in [("maxUnavailable", 0), ("minAvailable", 1)] {
            let set = format!("controller.pdb.{field}={count}");
            let values = ["controller.pdb.enabled=true", &set];
            let objects = charts::template(&charts::path(which.name()), "x", "x", &values).await?;
            let budget = objects
                .iter()
                .find(|object| object["kind"] == "PodDisruptionBudget")
                .context("a budget")?;
            assert_eq!(budget["spec"][field], count, "{}: {set}", which.name());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_rights_in_the_whole_cluster_are_asked_for_where_nobody_gives_them() -> Result<()> {
    let cases: [(Which, &[&str]); 5] = [
        (
            Which::ArgoCdLite,
            &["createClusterRoles=false", "createAggregateRoles=false"],
        ),
        (
            Which::Events,
            &[
                "controller.rbac.enabled=false",
                "createAggregateRoles=false",
            ],
        ),
        (Which::Events, &["controller.rbac.namespaced=true"]),
        (
            Which::Rollouts,
            &[
                "controller.createClusterRole=false",
                "createClusterAggregateRoles=false",
            ],
        ),
        (
            Which::Rollouts,
            &["clusterInstall=false", "createClusterAggregateRoles=false"],
        ),
    ];
    for (which, values) in cases {
        let objects = charts::template(&charts::path(which.name()), "x", "x", values).await?;
        let wide = objects.iter().find(|object| {
            object["kind"] == "ClusterRole" || object["kind"] == "ClusterRoleBinding"
        });
        assert_eq!(wide, None, "{} with {values:?}", which.name());
    }
    Ok(())
}

/// The values of a schema that are not objects with fields of their own.
fn described(schema: &Value, at: &str, found: &mut Vec<String>) {
    match schema["properties"].as_object() {
        Some(fields) => {
            for (key, schema) in fields {
                described(schema, &format!("{at}/{key}"), found);
            }
        }
        None => found.push(at.to_owned()),
    }
}

#[test]
fn every_value_has_a_type_and_every_typed_value_a_default() -> Result<()> {
    for which in Which::ALL {
        let chart = charts::path(which.name());
        let values = read_yaml(&chart.join("values.yaml"))?;
        let schema = std::fs::read(chart.join("values.schema.json"))?;
        let schema = serde_json::from_slice(&schema)?;
        let (mut there, mut typed) = (Vec::new(), Vec::new());
        leaves(&values, "", &mut there);
        described(&schema, "", &mut typed);
        for at in &there {
            let known = typed
                .iter()
                .any(|typed| at == typed || at.starts_with(&format!("{typed}/")));
            assert!(known, "{}: {at} has no type", which.name());
        }
        for at in &typed {
            // Of a probe that is not set, the API server's default counts.
            let set = values.pointer(at).is_some() || at.ends_with("Probe/successThreshold");
            assert!(set, "{}: {at} is not in values.yaml", which.name());
        }
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
            let mut objects = render(which, &namespace, values.as_deref()).await?;
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

/// Beside the rules for its syncs, the operator has only what the chart gives it in its own namespace.
#[tokio::test(flavor = "multi_thread")]
async fn argo_cd_lite_syncs_with_no_more_than_the_rules_for_what_it_syncs() -> Result<()> {
    let mut scene = Scene::set(Options::git_only(), &[]).await?;
    let values = [
        "controller.clusterRoleRules.enabled=true",
        "controller.clusterRoleRules.rules[0].apiGroups[0]=",
        "controller.clusterRoleRules.rules[0].resources={configmaps,namespaces}",
        "controller.clusterRoleRules.rules[0].verbs={create,delete,get,list,patch,watch}",
        // Stands beside the chart's own --loglevel.
        "controller.extraArgs={--loglevel=debug}",
    ];
    let setup = Setup {
        values: values.map(str::to_owned).to_vec(),
        ..Setup::default()
    };
    scene.add(Which::ArgoCdLite, &setup).await?;
    let policy = "{automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}";
    let files = [("app/map.yaml", &*config_map("narrow", "1", ""))];
    scene.follow("narrow", policy, &files).await?;
    scene.until_synced("narrow").await?;
    Ok(())
}
