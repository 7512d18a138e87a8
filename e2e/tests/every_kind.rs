//! An object of every kind that kube-apiserver ships, as an Application: it is Synced, and then nothing is written.

mod scene;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::Options;
use e2e::cluster::documents;
use e2e::stack::{Setup, Which};
use kube::discovery::{Discovery, verbs};
use scene::{Scene, application};
use serde_json::{Value, json};

const SAMPLES: &str = include_str!("every_kind/samples.yaml");
/// Kinds without a sample, and why.
const WITHOUT: &[(&str, &str)] = &[
    ("/Event", "never managed"),
    ("events.k8s.io/Event", "never managed"),
    ("coordination.k8s.io/Lease", "never managed"),
];
const POLICY: &str =
    "{automated: {prune: true, selfHeal: true}, syncOptions: [CreateNamespace=true]}";
/// How long nothing may be written. The repository is polled several times within it.
const WINDOW: Duration = Duration::from_mins(1);

fn options() -> Options {
    Options::git_only()
}

/// Kinds that can be created and watched, as `GROUP/KIND`, without those of the chart.
async fn served(scene: &Scene) -> Result<BTreeSet<String>> {
    let found = Discovery::new(scene.bed.client()?).run().await?;
    let mut kinds = BTreeSet::new();
    for group in found.groups().filter(|group| group.name() != "argoproj.io") {
        for (resource, capabilities) in group.recommended_resources() {
            let can = |verb| capabilities.supports_operation(verb);
            if can(verbs::CREATE) && can(verbs::PATCH) && can(verbs::WATCH) {
                kinds.insert(format!("{}/{}", resource.group, resource.kind));
            }
        }
    }
    Ok(kinds)
}

fn kind_of(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let group = version.rsplit_once('/').map_or("", |(group, _)| group);
    format!("{group}/{}", object["kind"].as_str().unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_of_every_kind_is_synced_and_then_left_alone() -> Result<()> {
    let mut scene = Scene::set(options(), &[]).await?;
    let setup = Setup {
        args: vec!["--app-resync=15".to_owned()],
        ..Setup::default()
    };
    scene.add(Which::ArgoCdLite, &setup).await?;
    let samples = documents(SAMPLES)?;
    let sampled: BTreeSet<String> = samples.iter().map(kind_of).collect();
    let known = sampled.iter().cloned();
    let known: BTreeSet<String> = known
        .chain(WITHOUT.iter().map(|(kind, _)| (*kind).to_owned()))
        .collect();
    let missing: Vec<String> = served(&scene).await?.difference(&known).cloned().collect();
    ensure!(missing.is_empty(), "kinds without a sample: {missing:?}");

    let files: BTreeMap<String, String> = (samples.iter().enumerate())
        .map(|(index, object)| {
            let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
            (format!("app/{index:02}-{kind}.json"), object.to_string())
        })
        .collect();
    let files: Vec<(&str, &str)> = (files.iter())
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    for (name, options) in [("kinds", ""), ("server-side", ", ServerSideApply=true")] {
        let policy = POLICY.replace("=true]", &format!("=true{options}]"));
        let repository = scene.bed.git()?.repository(name).await?;
        let commit = repository.commit(&files, "every kind").await?;
        let manifest = application(name, &repository.url, "app", "kinds", &policy);
        scene.apply("argocd", &manifest).await?;
        let app = scene
            .until_application(name, "Synced with its operation over", |app| {
                let state = &app["status"]["operationState"];
                state["phase"] == "Failed"
                    || (app["status"]["sync"]["status"] == "Synced"
                        && state["phase"] == "Succeeded")
            })
            .await?;
        let state = &app["status"]["operationState"];
        ensure!(state["phase"] == "Succeeded", "{:#}", app["status"]);
        assert_eq!(app["status"]["sync"]["revision"], json!(commit));
        let resources = app["status"]["resources"].as_array();
        let resources = resources.context("the resources of the Application")?;
        assert_eq!(resources.len(), samples.len(), "{resources:#?}");
        let other = resources.iter().filter(|one| one["status"] != "Synced");
        assert_eq!(other.collect::<Vec<_>>(), Vec::<&Value>::new());
        scene.refresh(name, "hard").await?;
        scene.until_refreshed(name).await?;
        // What controllers do to the objects comes and goes in the first moments; none of it may be undone by us.
        let changes = scene.changes_within(WINDOW).await?;
        ensure!(
            changes.total() == 0,
            "{name}: {changes:?}\n{}",
            scene.logs()
        );
        let app = scene.until_application(name, "Synced", |app| {
            app["status"]["sync"]["status"] == "Synced"
        });
        app.await?;
        // The next round takes the objects over.
        scene.abandon(name).await?;
    }
    Ok(())
}
