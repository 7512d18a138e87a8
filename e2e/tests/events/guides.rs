//! The manifests of the guides on a cluster: the API server knows every field, and the operator serves each of them, or
//! says what is missing around it.

use e2e::cluster::condition;
use kube::api::{Patch, PatchParams};

use super::*;

/// The guides with manifests of EventSources and Sensors, and how many they have at least.
const GUIDES: [(&str, &str, usize); 2] = [
    (
        "event-sources.md",
        include_str!("../../../docs/event-sources.md"),
        15,
    ),
    ("triggers.md", include_str!("../../../docs/triggers.md"), 9),
];

/// Why an accepted EventSource does not run: what it names is not there.
const MISSING: [&str; 2] = ["SecretMissing", "NotServed"];

/// The objects of the blocks of a page, each with the name of a namespace for its block.
fn blocks(page: &'static str) -> Result<Vec<Vec<Value>>> {
    let blocks = page.split("```yaml\n").skip(1);
    let texts = blocks.filter_map(|block| block.split("\n```").next());
    let whole = texts.filter(|text| text.contains("apiVersion: "));
    whole
        .map(e2e::cluster::documents)
        .collect::<Result<Vec<_>>>()
}

/// Creates an object as `kubectl apply --server-side --validate=strict` does: a field that the kind does not have is an error.
async fn create(scene: &Scene, namespace: &str, object: &Value) -> Result<()> {
    let text = |field: &str| object[field].as_str().unwrap_or_default();
    let api = scene
        .api(text("apiVersion"), text("kind"), namespace)
        .await?;
    let mut object = object.clone();
    object["metadata"]["namespace"] = json!(namespace);
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let strict = PatchParams::apply("guides").validation_strict();
    api.patch(name, &strict, &Patch::Apply(&object)).await?;
    Ok(())
}

/// What is wrong with an object of the kinds, once the operator has reconciled it.
fn fault(object: &Value) -> Option<String> {
    let conditions = object["status"]["conditions"].as_array()?;
    let of = |kind: &str| conditions.iter().find(|one| one["type"] == kind);
    let unsupported = of("UnsupportedFields").filter(|one| one["status"] == "True");
    let refused = [
        "SourcesProvided",
        "DependenciesProvided",
        "TriggersProvided",
    ]
    .into_iter()
    .filter_map(of)
    .find(|one| one["status"] != "True");
    let idle = of("Deployed").filter(|one| {
        let reason = one["reason"].as_str().unwrap_or_default();
        one["status"] != "True" && !MISSING.contains(&reason)
    });
    let fault = unsupported.or(refused).or(idle)?;
    Some(fault.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifests_of_the_guides_are_served_or_say_what_they_lack() -> Result<()> {
    let scene = scene().await?;
    let mut applied = Vec::new();
    for (name, page, least) in GUIDES {
        let blocks = blocks(page).with_context(|| name)?;
        ensure!(blocks.len() >= least, "{name} has {} blocks", blocks.len());
        for (number, block) in blocks.iter().enumerate() {
            let prefix = name.trim_end_matches(".md");
            let namespace = format!("{prefix}-{number}");
            scene.bed.cluster()?.apply_namespace(&namespace).await?;
            set_bus_in(&scene, &namespace).await?;
            for object in block {
                create(&scene, &namespace, object)
                    .await
                    .with_context(|| format!("{name}: {}", object["metadata"]["name"]))?;
                let kind = object["kind"].as_str().unwrap_or_default().to_owned();
                if object["apiVersion"] == scene::ARGO {
                    let name = object["metadata"]["name"].as_str().unwrap_or_default();
                    applied.push((kind, namespace.clone(), name.to_owned()));
                }
            }
        }
    }
    let mut faults = Vec::new();
    for (kind, namespace, name) in &applied {
        let decided = |object: &Value| condition(object, "Deployed").is_some();
        let object = scene
            .until(kind, namespace, name, "reconciled", decided)
            .await?;
        faults.extend(fault(&object).map(|fault| format!("{kind} {namespace}/{name}: {fault}")));
    }
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}
