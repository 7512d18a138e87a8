//! Values files of users: what a chart does not read is named, and what it makes of the rest.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use e2e::cluster::wait_for;
use e2e::stack::Which;
use e2e::{Bed, Options, charts};
use serde_json::{Value, json};

/// Renders a chart with values given as JSON.
async fn render(which: Which, values: &Value) -> Result<Vec<Value>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("values.json");
    std::fs::write(&path, values.to_string())?;
    charts::render(&charts::path(which.name()), "x", "apps", Some(&path)).await
}

async fn refusal(which: Which, values: &Value) -> Result<String> {
    let refused = render(which, values).await.err();
    Ok(refused.context("values that are refused")?.to_string())
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> Result<&'a Value> {
    objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .with_context(|| format!("no {kind} {name}"))
}

/// Values of each original that have no counterpart, as a values file would have them, with the paths that must be named.
fn foreign(which: Which) -> (Value, &'static [&'static str]) {
    match which {
        Which::ArgoCdLite => (
            json!({
                "redis": {"enabled": false},
                "dex": {"image": {"tag": "v1"}},
                "configs": {"rbac": {"policy.csv": "p, x"}, "cm": {"url": "https://cd.example"}},
                "controller": {"dynamicClusterDistribution": true, "replicas": 2},
            }),
            &[
                "configs.rbac.policy.csv",
                "controller.dynamicClusterDistribution",
                "dex.image.tag",
            ],
        ),
        Which::Events => (
            json!({
                "webhook": {"enabled": true},
                "configs": {"nats": {"versions": [{"version": "1"}]}},
                "openshift": false,
            }),
            &["configs.nats.versions", "webhook.enabled"],
        ),
        Which::Rollouts => (
            json!({
                "dashboard": {"enabled": true},
                "notifications": {"secret": {"create": false, "items": {"token": "t"}}},
            }),
            &["dashboard.enabled", "notifications.secret.items.token"],
        ),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_without_effect_are_listed_and_refused_on_demand() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for which in Which::ALL {
        let (mut values, paths) = foreign(which);
        let path = folder.path().join("values.json");
        std::fs::write(&path, values.to_string())?;
        let chart = charts::path(which.name());
        let args = [
            "install",
            "x",
            chart.to_str().context("UTF-8")?,
            "--dry-run=client",
            "--values",
            path.to_str().context("UTF-8")?,
        ];
        let shown = charts::helm(&args).await?;
        let (_, notes) = shown.split_once("\nNOTES:\n").context("NOTES")?;
        let (_, listed) = notes
            .split_once("Not read by this chart")
            .with_context(|| format!("{}: {notes}", which.name()))?;
        let listed: Vec<&str> = listed.lines().skip(1).map(str::trim).collect();
        assert_eq!(listed, paths, "{}", which.name());
        values["strictValues"] = true.into();
        let error = refusal(which, &values).await?;
        for path in paths {
            assert!(error.contains(path), "{}: {error}", which.name());
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_of_the_users_files_is_known_to_be_read() -> Result<()> {
    for which in Which::ALL {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join(format!("tests/values/{}.yaml", which.name()));
        let text = std::fs::read_to_string(path)?;
        let mut values = e2e::cluster::documents(&text)?.remove(0);
        values["strictValues"] = true.into();
        render(which, &values).await.context(which.name())?;
        let defaults = json!({"strictValues": true});
        render(which, &defaults).await.context(which.name())?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_of_the_original_is_refused_with_the_reason() -> Result<()> {
    let cases = [
        (
            Which::ArgoCdLite,
            json!({"global": {"image": {"repository": "quay.io/argoproj/argocd"}}}),
        ),
        (
            Which::ArgoCdLite,
            json!({"controller": {"image": {"repository": "mirror.example/argoproj/argocd"}}}),
        ),
        (
            Which::Events,
            json!({"global": {"image": {"repository": "quay.io/argoproj/argo-events"}}}),
        ),
        (
            Which::Rollouts,
            json!({"controller": {"image": {"registry": "quay.io", "repository": "argoproj/argo-rollouts"}}}),
        ),
    ];
    for (which, values) in cases {
        let error = refusal(which, &values).await?;
        assert!(error.contains("is one of the original"), "{error}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_clusters_and_settings_become_the_objects_that_are_read() -> Result<()> {
    let values = json!({"configs": {
        "cm": {"kustomize.buildOptions": "--enable-helm", "admin.enabled": false},
        "secret": {"githubSecret": "s"},
        "repositories": {"shop": {"url": "https://git.example/shop", "password": "012", "insecure": true}},
        "credentialTemplates": {"all": {"url": "https://git.example"}},
        "clusterCredentials": {"prod": {"server": "https://192.0.2.9", "config": {"bearerToken": "t"}, "namespaces": "a,b"}},
        "ssh": {"extraHosts": "git.example ssh-ed25519 AAAA"},
        "tls": {"certificates": {"git.example": "PEM"}},
    }});
    let objects = render(Which::ArgoCdLite, &values).await?;
    let secret_type =
        |secret: &Value| secret["metadata"]["labels"]["argocd.argoproj.io/secret-type"].clone();
    let cm = find(&objects, "ConfigMap", "argocd-cm")?;
    let data = json!({"kustomize.buildOptions": "--enable-helm", "admin.enabled": "false"});
    assert_eq!(cm["data"], data);
    let secret = find(&objects, "Secret", "argocd-secret")?;
    assert_eq!(secret["stringData"], json!({"webhook.github.secret": "s"}));
    let shop = find(&objects, "Secret", "argocd-repo-shop")?;
    assert_eq!(secret_type(shop), "repository");
    // Texts, as the API takes nothing else.
    let data = json!({"url": "https://git.example/shop", "password": "012", "insecure": "true"});
    assert_eq!(shop["stringData"], data);
    let all = find(&objects, "Secret", "argocd-repo-creds-all")?;
    assert_eq!(secret_type(all), "repo-creds");
    let prod = find(&objects, "Secret", "argocd-cluster-prod")?;
    assert_eq!(secret_type(prod), "cluster");
    assert_eq!(prod["stringData"]["config"], r#"{"bearerToken":"t"}"#);
    assert_eq!(prod["stringData"]["namespaces"], "a,b");
    let hosts = find(&objects, "ConfigMap", "argocd-ssh-known-hosts-cm")?;
    assert_eq!(
        hosts["data"]["ssh_known_hosts"],
        "git.example ssh-ed25519 AAAA\n"
    );
    let certificates = find(&objects, "ConfigMap", "argocd-tls-certs-cm")?;
    assert_eq!(certificates["data"]["git.example"], "PEM");
    // Nothing to say, nothing made.
    let none = render(Which::ArgoCdLite, &json!({})).await?;
    assert!(find(&none, "ConfigMap", "argocd-cm").is_err());
    assert!(find(&none, "Secret", "argocd-secret").is_err());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_policy_of_events_opens_the_ports_of_event_sources() -> Result<()> {
    let objects = render(Which::Events, &json!({"networkPolicy": {"create": true}})).await?;
    let policy = find(&objects, "NetworkPolicy", "x-events")?;
    let ports = &policy["spec"]["ingress"][0]["ports"];
    let sources = json!({"port": 20000, "endPort": 29999, "protocol": "TCP"});
    assert!(
        ports
            .as_array()
            .is_some_and(|ports| ports.contains(&sources)),
        "{ports}"
    );
    Ok(())
}

/// Applies every object of the documents whose kind is one of ours.
async fn accept_examples(cluster: &e2e::cluster::Cluster) -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/examples");
    let mut accepted = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        for object in e2e::cluster::documents(&text)? {
            if object["apiVersion"] != "argoproj.io/v1alpha1" {
                continue;
            }
            let namespace = object["metadata"]["namespace"]
                .as_str()
                .unwrap_or("default");
            if namespace != "default" {
                cluster.apply_namespace(namespace).await?;
            }
            let applied = cluster.apply_one(namespace, &object).await;
            applied.with_context(|| path.display().to_string())?;
            accepted += 1;
        }
    }
    anyhow::ensure!(accepted > 5, "only {accepted} examples");
    Ok(())
}

/// The original is installed with kubectl: its definitions and settings stay as they are.
#[tokio::test(flavor = "multi_thread")]
async fn helm_installs_beside_the_original_and_leaves_its_objects_alone() -> Result<()> {
    let bed = Bed::up(Options::cluster_only()).await?;
    let cluster = bed.cluster()?;
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/crds");
    for entry in std::fs::read_dir(manifests)? {
        let text = std::fs::read_to_string(entry?.path())?;
        for crd in e2e::cluster::documents(&text)? {
            cluster.apply_one("", &crd).await?;
        }
    }
    accept_examples(cluster).await?;
    let kubeconfig = cluster.kubeconfig().display().to_string();
    for which in Which::ALL {
        let namespace = which.namespace();
        cluster.apply_namespace(namespace).await?;
        let original = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "argocd-cm", "namespace": namespace}, "data": {"url": "https://theirs.example"},
        });
        cluster.apply_one(namespace, &original).await?;
        let chart = charts::path(which.name());
        let args = [
            "install",
            "ours",
            chart.to_str().context("UTF-8")?,
            "--namespace",
            namespace,
            "--kubeconfig",
            &kubeconfig,
            "--set=configs.cm.url=https://ours.example",
        ];
        charts::helm(&args).await.context(which.name())?;
        let api = cluster.api("v1", "ConfigMap", namespace).await?;
        let map = api.get("argocd-cm").await?;
        assert_eq!(map.data["data"]["url"], "https://theirs.example");
        let api = cluster.api("apps/v1", "Deployment", namespace).await?;
        let name = format!("ours-{}", which.name());
        wait_for(&api, &name, "installed", Duration::from_secs(60), |found| {
            found.is_some()
        })
        .await?;
    }
    let api = cluster
        .api("apiextensions.k8s.io/v1", "CustomResourceDefinition", "")
        .await?;
    for crd in api.list(&kube::api::ListParams::default()).await? {
        let annotations = crd.metadata.annotations.unwrap_or_default();
        assert!(
            !annotations.contains_key("meta.helm.sh/release-name"),
            "{:?}",
            crd.metadata.name
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_work_when_there_are_shards() -> Result<()> {
    let arguments = async |which: Which, values: Value| -> Result<Vec<String>> {
        let objects = render(which, &values).await?;
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment");
        let deployment = deployment.context("a Deployment")?;
        let args = &deployment["spec"]["template"]["spec"]["containers"][0]["args"];
        Ok(serde_json::from_value(args.clone())?)
    };
    for which in [Which::Events, Which::ArgoCdLite] {
        let usual = arguments(which, json!({})).await?;
        assert!(usual.iter().all(|flag| !flag.starts_with("--shards")));
        let shares = json!({"controller": {"replicas": 3, "shards": 12}});
        let shared = arguments(which, shares).await?;
        assert!(
            shared.iter().any(|flag| flag == "--shards=12"),
            "{shared:?}"
        );
        let none = refusal(which, &json!({"controller": {"shards": 0}})).await?;
        assert!(none.contains("shards"), "{none}");
    }
    let both = json!({"controller": {"shards": 2}, "server": {"upstream": {"enabled": true}}});
    let both = refusal(Which::ArgoCdLite, &both).await?;
    assert!(both.contains("server.upstream.enabled needs 1"), "{both}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_events_are_a_deployment_of_their_own_with_the_shards_of_the_controller()
-> Result<()> {
    let pod = json!({
        "replicas": 5, "resources": {"limits": {"memory": "99Mi"}}, "nodeSelector": {"pool": "workers"},
        "tolerations": [{"key": "busy", "operator": "Exists"}], "priorityClassName": "high", "extraArgs": ["--more"],
        "affinity": {"podAntiAffinity": {}}, "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"},
        ],
    });
    let shards = json!({"shards": 12, "nodeSelector": {"pool": "controllers"}});
    let more = json!({"create": true});
    let values = json!({"worker": pod, "controller": shards, "networkPolicy": more});
    let objects = render(Which::Events, &values).await?;
    let controller = find(&objects, "Deployment", "x-events")?;
    let workers = find(&objects, "Deployment", "x-events-worker")?;
    assert_eq!(workers["spec"]["replicas"], 5);
    let of = |deployment: &Value| deployment["spec"]["template"]["spec"].clone();
    let (spec, container) = (of(workers), of(workers)["containers"][0].clone());
    for flag in ["worker", "--shards=12", "--more"] {
        let args = container["args"].as_array().context("arguments")?;
        assert!(args.iter().any(|arg| arg == flag), "{flag}: {args:?}");
    }
    assert_eq!(container["image"], of(controller)["containers"][0]["image"]);
    assert_eq!(container["resources"]["limits"]["memory"], "99Mi");
    for field in ["nodeSelector", "tolerations", "affinity"] {
        assert_eq!(spec[field], values["worker"][field], "{field}");
    }
    assert_eq!(of(controller)["nodeSelector"]["pool"], "controllers");
    // Neither takes the pods of the other.
    let selector = |deployment: &Value| deployment["spec"]["selector"]["matchLabels"].clone();
    let (ours, theirs) = (selector(workers), selector(controller));
    assert_ne!(ours, theirs);
    let spread = &spec["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"];
    assert_eq!(*spread, ours);
    let labels = &workers["spec"]["template"]["metadata"]["labels"];
    let (component, name) = ("app.kubernetes.io/component", "app.kubernetes.io/name");
    assert_eq!(labels[component], "worker");
    // Their metrics are scraped, and their ports open.
    let metrics = find(&objects, "Service", "x-events-metrics")?;
    let wanted = json!({name: labels[name], "app.kubernetes.io/instance": "x"});
    assert_eq!(metrics["spec"]["selector"], wanted);
    let policy = find(&objects, "NetworkPolicy", "x-events")?;
    let pods = &policy["spec"]["podSelector"];
    assert_eq!(pods["matchLabels"][name], labels[name]);
    let wanted = json!([{"key": component, "operator": "In", "values": ["controller-manager", "worker", "dedicated"]}]);
    assert_eq!(pods["matchExpressions"], wanted);

    let none = render(Which::Events, &json!({})).await?;
    assert!(find(&none, "Deployment", "x-events-worker").is_err());
    let alone = refusal(Which::Events, &json!({"worker": {"replicas": 1}})).await?;
    assert!(alone.contains("controller.shards"), "{alone}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_controller_of_events_gets_a_template_for_pods_of_single_objects_on_demand()
-> Result<()> {
    let values = json!({"dedicated": {"enabled": true}, "worker": {"nodeSelector": {"pool": "w"}}, "controller": {"shards": 4}});
    let objects = render(Which::Events, &values).await?;
    let config = find(&objects, "ConfigMap", "x-events-config")?;
    let text = config["data"]["dedicated.yaml"]
        .as_str()
        .context("a template")?;
    let template = e2e::cluster::documents(text)?.remove(0);
    assert_eq!(template["kind"], "Deployment");
    let pod = &template["spec"]["template"]["spec"];
    let controller = find(&objects, "Deployment", "x-events")?;
    let own = &controller["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["args"][0], "worker");
    assert_eq!(pod["containers"][0]["image"], own["containers"][0]["image"]);
    assert_eq!(pod["serviceAccountName"], own["serviceAccountName"]);
    assert_eq!(pod["nodeSelector"], json!({"pool": "w"}));
    let may = |objects: &[Value]| -> Result<bool> {
        let role = find(objects, "Role", "x-events-leader")?;
        let rules = role["rules"].as_array().context("rules")?;
        Ok(rules
            .iter()
            .any(|rule| rule["resources"] == json!(["deployments"])))
    };
    assert!(may(&objects)?);
    let none = render(Which::Events, &json!({})).await?;
    assert!(find(&none, "ConfigMap", "x-events-config")?["data"]["dedicated.yaml"].is_null());
    assert!(!may(&none)?);
    Ok(())
}
