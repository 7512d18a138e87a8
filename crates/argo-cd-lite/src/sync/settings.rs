//! Settings of the sync engine in the annotations of an object: hook phases, wave, options, delete policies.

use std::collections::BTreeMap;

use super::SyncOptions;
use crate::api;

/// A phase of a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncPhase {
    /// Before anything is applied.
    PreSync,
    /// Together with the plain objects.
    Sync,
    /// After everything is healthy.
    PostSync,
    /// Only when the sync failed.
    SyncFail,
}

impl SyncPhase {
    /// The word that the API uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::PreSync => "PreSync",
            Self::Sync => "Sync",
            Self::PostSync => "PostSync",
            Self::SyncFail => "SyncFail",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "PreSync" => Self::PreSync,
            "Sync" => Self::Sync,
            "PostSync" => Self::PostSync,
            "SyncFail" => Self::SyncFail,
            _ => return None,
        })
    }
}

/// When a hook runs at the deletion of an Application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletionPhase {
    /// Before the objects are deleted.
    PreDelete,
    /// After the objects are gone.
    PostDelete,
}

impl DeletionPhase {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::PreDelete, Self::PostDelete];

    /// The word that the API uses.
    pub fn word(self) -> &'static str {
        match self {
            Self::PreDelete => "PreDelete",
            Self::PostDelete => "PostDelete",
        }
    }

    /// The finalizer of Applications whose hooks have not run.
    pub fn finalizer(self) -> &'static str {
        match self {
            Self::PreDelete => api::PRE_DELETE_FINALIZER,
            Self::PostDelete => api::POST_DELETE_FINALIZER,
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "PreDelete" | "pre-delete" => Self::PreDelete,
            "PostDelete" | "post-delete" => Self::PostDelete,
            _ => return None,
        })
    }
}

/// When a hook's object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeletePolicy {
    /// Before the hook is created again; the default.
    BeforeHookCreation,
    /// When the whole sync succeeded.
    HookSucceeded,
    /// When the whole sync failed.
    HookFailed,
}

/// An object that is a hook.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hook {
    /// Phases in which it runs; empty for hooks that never run in a sync.
    pub phases: Vec<SyncPhase>,
    /// Neither applied nor run: `Skip` as the only value.
    pub skip: bool,
    /// When it runs at the deletion of the Application.
    pub deletion: Vec<DeletionPhase>,
    /// When the object is deleted; never empty.
    pub delete: Vec<DeletePolicy>,
}

/// What the annotations of an object say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncSettings {
    /// Set for hooks.
    pub hook: Option<Hook>,
    /// The wave.
    pub wave: i32,
    /// The object's own sync options.
    pub options: SyncOptions,
    /// Being extra does not make the application OutOfSync.
    pub ignore_extraneous: bool,
    /// Does not count for the health of the application.
    pub ignore_health: bool,
    /// `helm.sh/resource-policy: keep`.
    pub keep: bool,
}

const HELM_HOOK: &str = "helm.sh/hook";
const HELM_WEIGHT: &str = "helm.sh/hook-weight";
const HELM_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";
const HELM_RESOURCE_POLICY: &str = "helm.sh/resource-policy";

impl SyncSettings {
    /// Reads the annotations.
    pub fn read(annotations: &BTreeMap<String, String>) -> Self {
        let get = |key: &str| annotations.get(key).map(String::as_str);
        let options = get(api::ANNOTATION_SYNC_OPTIONS)
            .map(SyncOptions::from_annotation)
            .unwrap_or_default();
        let words = |key: &str| get(key).map(list).unwrap_or_default();
        Self {
            hook: hook(annotations),
            wave: wave(annotations),
            ignore_extraneous: words(api::ANNOTATION_COMPARE_OPTIONS).contains(&"IgnoreExtraneous"),
            ignore_health: get(api::ANNOTATION_IGNORE_HEALTH) == Some("true"),
            keep: get(HELM_RESOURCE_POLICY) == Some("keep"),
            options,
        }
    }

    /// True for hooks, also for those that never run.
    pub fn is_hook(&self) -> bool {
        self.hook.is_some()
    }

    /// True for objects that are neither applied nor compared.
    pub fn is_skipped(&self) -> bool {
        self.hook.as_ref().is_some_and(|hook| hook.skip)
    }

    /// True when a person must confirm that the object is deleted.
    pub fn needs_confirmation(&self) -> bool {
        self.options.has("Prune=confirm") || self.options.has("Delete=confirm")
    }

    /// True when all annotations have their default meaning.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

fn list(text: &str) -> Vec<&str> {
    text.split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .collect()
}

/// The wave: our annotation, else Helm's weight, else 0. A value that is no number counts as absent.
fn wave(annotations: &BTreeMap<String, String>) -> i32 {
    let number = |key: &str| {
        annotations
            .get(key)
            .and_then(|text| text.parse::<i32>().ok())
    };
    number(api::ANNOTATION_SYNC_WAVE)
        .or_else(|| number(HELM_WEIGHT))
        .unwrap_or_default()
}

fn hook(annotations: &BTreeMap<String, String>) -> Option<Hook> {
    let own = annotations
        .get(api::ANNOTATION_HOOK)
        .map(|text| list(text))
        .unwrap_or_default();
    let mut hook = Hook::default();
    if own.is_empty() {
        let helm = annotations
            .get(HELM_HOOK)
            .map(|text| list(text))
            .unwrap_or_default();
        // A Helm hook that installs a CRD is a plain object.
        if helm.is_empty() || helm.contains(&"crd-install") {
            return None;
        }
        for word in helm {
            match word {
                "pre-install" | "pre-upgrade" => add(&mut hook.phases, SyncPhase::PreSync),
                "post-install" | "post-upgrade" => add(&mut hook.phases, SyncPhase::PostSync),
                // Tests and rollbacks are hooks that a sync never runs.
                _ => {}
            }
        }
    } else {
        hook.skip = own == ["Skip"];
        for word in own {
            // An unknown word makes a hook that never runs.
            if let Some(phase) = SyncPhase::parse(word) {
                add(&mut hook.phases, phase);
            }
        }
    }
    // These count in either annotation.
    let words = [api::ANNOTATION_HOOK, HELM_HOOK].map(|key| annotations.get(key));
    for word in words.into_iter().flatten().flat_map(|text| list(text)) {
        if let Some(phase) = DeletionPhase::parse(word) {
            add(&mut hook.deletion, phase);
        }
    }
    hook.delete = delete_policies(annotations);
    Some(hook)
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

fn delete_policies(annotations: &BTreeMap<String, String>) -> Vec<DeletePolicy> {
    let mut policies = Vec::new();
    let text = |key: &str| annotations.get(key).map(String::as_str).unwrap_or_default();
    for word in list(text(api::ANNOTATION_HOOK_DELETE_POLICY)) {
        match word {
            "BeforeHookCreation" => add(&mut policies, DeletePolicy::BeforeHookCreation),
            "HookSucceeded" => add(&mut policies, DeletePolicy::HookSucceeded),
            "HookFailed" => add(&mut policies, DeletePolicy::HookFailed),
            _ => {}
        }
    }
    for word in list(text(HELM_DELETE_POLICY)) {
        match word {
            "before-hook-creation" => add(&mut policies, DeletePolicy::BeforeHookCreation),
            "hook-succeeded" => add(&mut policies, DeletePolicy::HookSucceeded),
            "hook-failed" => add(&mut policies, DeletePolicy::HookFailed),
            _ => {}
        }
    }
    if policies.is_empty() {
        policies.push(DeletePolicy::BeforeHookCreation);
    }
    policies
}
