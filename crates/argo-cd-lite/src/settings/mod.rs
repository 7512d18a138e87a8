//! Upstream's settings: what the controller reads of the ConfigMap `argocd-cm`, and the handle that keeps it.
//!
//! ```text
//!  argocd-cm ─► ArgoSettings::parse ─► ArgoSettings ─► SettingsHandle ─► health, diff, tracking, render
//!                      └─► problems, each with its key: logged, and the rest is used
//! ```

mod customizations;
mod handle;
mod kustomize;
mod resources;

pub use customizations::{
    ActionDefinition, ActionSet, Customization, Customizations, IgnoredFields, KnownTypeField,
    LuaText,
};
pub use handle::SettingsHandle;
pub use kustomize::{KustomizeSettings, KustomizeVersion};
pub use resources::{CompareOptions, IgnoreStatus, KindFilter, KindSelector};

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use reconcile_core::kube_types::GoDuration;
use thiserror::Error;

/// The ConfigMap.
pub const SETTINGS_MAP: &str = "argocd-cm";

/// Prefix of the keys that customise kinds.
const CUSTOMIZATIONS: &str = "resource.customizations";

/// Keys that mean something to parts of upstream that are not here (user interface, login, notifications), or that ask
/// for what is always so: only kinds in use are watched, and the API server says which fields hold Kubernetes types.
const ELSEWHERE: &[&str] = &[
    "accounts.",
    "admin.",
    "dex.",
    "exec.",
    "ga.",
    "help.",
    "oidc.",
    "resource.links",
    "resource.respectRBAC",
    "passwordPattern",
    "server.",
    "statusbadge.",
    "ui.",
    "url",
    "users.",
    "webhook.",
];

/// How objects are marked as belonging to an Application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TrackingMethod {
    /// By the annotation `argocd.argoproj.io/tracking-id`.
    #[default]
    Annotation,
    /// By a label.
    Label,
    /// By the annotation; the label is written too.
    AnnotationAndLabel,
}

/// How objects are marked as belonging to an Application of this installation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrackingSettings {
    /// Which mark counts.
    pub method: TrackingMethod,
    /// The label that holds the name of an Application.
    pub label: String,
    /// A second mark for several installations on one cluster.
    pub installation_id: Option<String>,
}

impl Default for TrackingSettings {
    fn default() -> Self {
        Self {
            method: TrackingMethod::default(),
            label: "app.kubernetes.io/instance".to_owned(),
            installation_id: None,
        }
    }
}

/// Whose rights syncs have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Impersonation {
    /// Those of `destinationServiceAccounts` of the project.
    pub enabled: bool,
    /// A destination without an account is refused; otherwise the controller's own rights count there.
    pub enforced: bool,
}

impl Default for Impersonation {
    fn default() -> Self {
        Self {
            enabled: false,
            enforced: true,
        }
    }
}

/// Which objects are managed, and how they are marked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ManagementRules {
    /// How objects are marked.
    pub tracking: TrackingSettings,
    /// Kinds that are not managed.
    pub kinds: KindFilter,
}

/// The settings, with upstream's defaults where the ConfigMap says nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct ArgoSettings {
    /// What is different for single kinds.
    pub customizations: Customizations,
    /// Which objects are managed, and how they are marked.
    pub managed: Arc<ManagementRules>,
    /// How comparisons are made.
    pub compare: CompareOptions,
    /// Time between two comparisons; `None` leaves it to the command line, zero turns them off.
    pub reconciliation: Option<Duration>,
    /// Most random delay of a comparison.
    pub reconciliation_jitter: Option<Duration>,
    /// Time between two comparisons without caches; zero turns them off.
    pub hard_reconciliation: Option<Duration>,
    /// Changes of ignored fields start no comparison.
    pub ignore_resource_updates: bool,
    /// Schemes of URLs by which files of Helm values are downloaded.
    pub values_file_schemes: Vec<String>,
    /// Labels of nodes that pages show.
    pub node_labels: Vec<String>,
    /// Kinds without a health rule are judged by the conventions for conditions.
    pub standard_conditions: bool,
    /// The cluster of the control plane is a destination without a cluster Secret.
    pub in_cluster: bool,
    /// What is written to clusters is written as accounts of the projects.
    pub impersonation: Impersonation,
    /// Programs and flags of kustomize.
    pub kustomize: Arc<KustomizeSettings>,
    /// Keys that have no effect.
    pub unsupported: Vec<String>,
}

impl Default for ArgoSettings {
    fn default() -> Self {
        Self {
            customizations: Customizations::default(),
            managed: Arc::default(),
            compare: CompareOptions::default(),
            reconciliation: None,
            reconciliation_jitter: None,
            hard_reconciliation: None,
            ignore_resource_updates: true,
            values_file_schemes: vec!["https".to_owned(), "http".to_owned()],
            node_labels: Vec::new(),
            standard_conditions: false,
            in_cluster: true,
            impersonation: Impersonation::default(),
            kustomize: Arc::default(),
            unsupported: Vec::new(),
        }
    }
}

/// A setting that cannot be used. The others are.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{SETTINGS_MAP}: {key}: {reason}")]
pub struct SettingProblem {
    /// Key of the ConfigMap.
    pub key: String,
    /// What is wrong, and what would be right.
    pub reason: String,
}

impl SettingProblem {
    fn new(key: &str, reason: impl Into<String>) -> Self {
        Self {
            key: key.to_owned(),
            reason: reason.into(),
        }
    }
}

impl ArgoSettings {
    /// Reads the data of the ConfigMap. What cannot be read is left out and reported.
    pub fn parse(data: &BTreeMap<String, String>) -> (Self, Vec<SettingProblem>) {
        let mut settings = Self::default();
        let mut problems = Vec::new();
        for (key, text) in data {
            if let Err(problem) = settings.read(key, text) {
                problems.push(problem);
            }
        }
        settings.customizations = Customizations::parse(data, &mut problems);
        (settings, problems)
    }

    fn managed(&mut self) -> &mut ManagementRules {
        Arc::make_mut(&mut self.managed)
    }

    /// Fields of a kind whose change starts no comparison.
    pub fn ignored_updates(&self, group: &str, kind: &str) -> Vec<&IgnoredFields> {
        if !self.ignore_resource_updates {
            return Vec::new();
        }
        let mut fields = self.customizations.ignored_updates(group, kind);
        if self.compare.ignore_differences_on_updates {
            fields.extend(self.customizations.ignored_differences(group, kind));
        }
        fields
    }

    fn read(&mut self, key: &str, text: &str) -> Result<(), SettingProblem> {
        let word = text.trim();
        match key {
            "resource.exclusions" => {
                self.managed().kinds.exclusions = resources::selectors(key, text)?;
            }
            "resource.inclusions" => {
                self.managed().kinds.inclusions = resources::selectors(key, text)?;
            }
            "resource.compareoptions" => self.compare = resources::compare_options(key, text)?,
            "application.resourceTrackingMethod" => {
                self.managed().tracking.method = tracking(key, word)?;
            }
            "application.instanceLabelKey" if !word.is_empty() => {
                word.clone_into(&mut self.managed().tracking.label);
            }
            "installationID" => {
                self.managed().tracking.installation_id =
                    Some(word.to_owned()).filter(|id| !id.is_empty());
            }
            "timeout.reconciliation" => self.reconciliation = Some(duration(key, word)?),
            "timeout.reconciliation.jitter" => {
                self.reconciliation_jitter = Some(duration(key, word)?);
            }
            "timeout.hard.reconciliation" => {
                self.hard_reconciliation = Some(duration(key, word)?);
            }
            "resource.ignoreResourceUpdatesEnabled" => {
                self.ignore_resource_updates = flag(key, word)?;
            }
            "helm.valuesFileSchemes" => {
                self.values_file_schemes = words(word);
            }
            "application.allowedNodeLabels" => self.node_labels = words(word),
            "resource.health.standardConditions" => {
                self.standard_conditions = flag(key, word)?;
            }
            "application.sync.impersonation.enabled" => {
                self.impersonation.enabled = flag(key, word)?;
            }
            "application.sync.impersonation.enforced" => {
                self.impersonation.enforced = word.is_empty() || flag(key, word)?;
            }
            "cluster.inClusterEnabled" => self.in_cluster = word.is_empty() || flag(key, word)?,
            other if other.starts_with(CUSTOMIZATIONS) => {}
            other if other.starts_with(kustomize::PREFIX) => {
                Arc::make_mut(&mut self.kustomize).read(other, text)?;
            }
            other if ELSEWHERE.iter().any(|known| other.starts_with(known)) => {}
            other => self.unsupported.push(other.to_owned()),
        }
        Ok(())
    }
}

fn tracking(key: &str, word: &str) -> Result<TrackingMethod, SettingProblem> {
    match word {
        "" | "annotation" => Ok(TrackingMethod::Annotation),
        "label" => Ok(TrackingMethod::Label),
        "annotation+label" => Ok(TrackingMethod::AnnotationAndLabel),
        other => Err(SettingProblem::new(
            key,
            format!("{other:?} is not one of annotation, annotation+label, label"),
        )),
    }
}

/// The words between commas.
fn words(text: &str) -> Vec<String> {
    let words = text.split(',').map(str::trim);
    let words = words.filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn duration(key: &str, word: &str) -> Result<Duration, SettingProblem> {
    GoDuration::parse_or_seconds(word)
        .map(GoDuration::to_std)
        .map_err(|error| SettingProblem::new(key, format!("{error}; write it as 180s or 3m")))
}

fn flag(key: &str, word: &str) -> Result<bool, SettingProblem> {
    match word {
        "true" => Ok(true),
        "" | "false" => Ok(false),
        other => Err(SettingProblem::new(
            key,
            format!("{other:?} is neither true nor false"),
        )),
    }
}

#[cfg(test)]
mod tests;
