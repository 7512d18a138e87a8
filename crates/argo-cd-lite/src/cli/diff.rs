//! `diff`: what applying would change, or what a revision would change.

use std::{collections::BTreeMap, io::Write, path::Path};

use reconcile_core::yaml;
use serde_json::Value;
use similar::TextDiff;

use super::{
    CliError, DiffArgs, application,
    application::FileApplication,
    input,
    mask::{fold, mask},
    predict::after_apply,
    scope, source,
};
use crate::{
    api::IgnoreDifference,
    clusters::ResourceId,
    diff::{IgnoreRules, WebhookChanges},
    render::Scope,
    settings::{ArgoSettings, IgnoreStatus},
};

/// Fields of the metadata that the API server counts.
const COUNTED: &[&str] = &[
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

type Objects = BTreeMap<ResourceId, Value>;

/// Writes the diff. True when there is a difference.
pub(super) fn run(args: &DiffArgs, out: &mut impl Write) -> Result<bool, CliError> {
    let settings = input::settings(args.settings.as_deref())?;
    match (&args.live, &args.target, &args.file, &args.from, &args.to) {
        (Some(live), Some(target), ..) => {
            let app = match &args.app {
                Some(path) => application::read(path, &args.source.namespace)?.pop(),
                None => None,
            };
            let comparison = Comparison::new(app.as_ref(), &settings);
            let live = comparison.read(live)?;
            let target = comparison.read(target)?;
            let predicted = predicted(&live, &target);
            comparison.write(live, predicted, ["live", "target"], out)
        }
        (_, _, Some(file), Some(from), Some(to)) => {
            let mut differs = false;
            for app in application::read(file, &args.source.namespace)? {
                let comparison = Comparison::new(Some(&app), &settings);
                let rendered = |revision: &str| -> Result<Objects, CliError> {
                    let rendered = source::targets(&app, &args.source, Some(revision))?;
                    let targets = rendered.set.targets.iter();
                    Ok(targets
                        .map(|target| (target.id.clone(), target.value()))
                        .collect())
                };
                let (old, new) = (rendered(from)?, rendered(to)?);
                differs |= comparison.write(old, new, [from.as_str(), to.as_str()], out)?;
            }
            Ok(differs)
        }
        _ => Err(CliError::Usage(
            "diff needs --live and --target, or -f with --from and --to".to_owned(),
        )),
    }
}

/// Each target as it would be live; live objects without a target would go.
fn predicted(live: &Objects, target: &Objects) -> Objects {
    target
        .iter()
        .map(|(id, target)| {
            let predicted = match live.get(id) {
                Some(live) => after_apply(live, target),
                None => target.clone(),
            };
            (id.clone(), predicted)
        })
        .collect()
}

/// What counts as a difference.
struct Comparison<'a> {
    namespace: &'a str,
    rules: IgnoreRules,
    settings: &'a ArgoSettings,
}

impl<'a> Comparison<'a> {
    fn new(app: Option<&'a FileApplication>, settings: &'a ArgoSettings) -> Self {
        let rules: &[IgnoreDifference] = app.map_or(&[], |app| &app.spec.ignore_differences);
        Self {
            namespace: app.map_or("", |app| app.placement.namespace.as_str()),
            rules: IgnoreRules::new(rules, WebhookChanges::default()).with_settings(settings),
            settings,
        }
    }

    /// The objects of a file by what identifies them. Namespaced ones without a namespace are in the destination's.
    fn read(&self, path: &Path) -> Result<Objects, CliError> {
        let mut objects = Objects::new();
        for read in input::objects(path)? {
            let mut object = read.object;
            let api = object["apiVersion"].as_str().unwrap_or_default();
            let group = api
                .split_once('/')
                .map_or("", |(group, _)| group)
                .to_owned();
            let kind = object["kind"].as_str().unwrap_or_default().to_owned();
            let cluster = scope::of(&group, &kind) == Scope::Cluster;
            if object["metadata"]["namespace"].is_null() && !cluster && !self.namespace.is_empty() {
                object["metadata"]["namespace"] = self.namespace.into();
            }
            let part = |name: &str| object["metadata"][name].as_str().unwrap_or_default();
            let id = ResourceId::new(&group, &kind, part("namespace"), part("name"));
            objects.insert(id, object);
        }
        Ok(objects)
    }

    /// Writes a unified diff of both sides. True when there is a difference.
    fn write(
        &self,
        mut old: Objects,
        mut new: Objects,
        names: [&str; 2],
        out: &mut impl Write,
    ) -> Result<bool, CliError> {
        let mut differs = false;
        let ids: Vec<ResourceId> = old.keys().chain(new.keys()).cloned().collect();
        for id in ids {
            let (mut before, mut after) = (old.remove(&id), new.remove(&id));
            for object in [&mut before, &mut after].into_iter().flatten() {
                self.normalize(&id, object);
            }
            fold(before.as_mut());
            fold(after.as_mut());
            if before == after {
                continue;
            }
            mask(before.as_mut(), after.as_mut());
            let text = |object: &Option<Value>| object.as_ref().map(yaml::to_string);
            let (before, after) = (text(&before), text(&after));
            differs = true;
            let header = |name: &str, text: &Option<String>| match text {
                Some(_) => format!("{name}/{}", file_name(&id)),
                None => "/dev/null".to_owned(),
            };
            let headers = [header(names[0], &before), header(names[1], &after)];
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            let diff = TextDiff::from_lines(&before, &after);
            let mut unified = diff.unified_diff();
            unified.context_radius(3).header(&headers[0], &headers[1]);
            write!(out, "{unified}")?;
        }
        Ok(differs)
    }

    /// Removes what does not count.
    fn normalize(&self, id: &ResourceId, object: &mut Value) {
        let owners = object.clone();
        self.rules.for_object(id).remove_from(object, &owners);
        let definition = &*id.kind.kind == "CustomResourceDefinition";
        let ignores_status = match self.settings.compare.ignore_status {
            IgnoreStatus::All => true,
            IgnoreStatus::Definitions => definition,
            IgnoreStatus::None => false,
        };
        if let Some(fields) = object.as_object_mut().filter(|_| ignores_status) {
            fields.remove("status");
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.retain(|name, _| !COUNTED.contains(&name.as_str()));
            if let Some(annotations) = metadata.get_mut("annotations") {
                if let Some(annotations) = annotations.as_object_mut() {
                    annotations.remove(LAST_APPLIED);
                }
                if annotations
                    .as_object()
                    .is_some_and(serde_json::Map::is_empty)
                {
                    metadata.remove("annotations");
                }
            }
        }
    }
}

fn file_name(id: &ResourceId) -> String {
    let parts = [&*id.kind.group, &*id.kind.kind, &*id.namespace, &*id.name];
    let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}.yaml", parts.join("_"))
}
