//! Creates and ends runs on behalf of their owners.

use kube::{Client, api::DynamicObject, core::GroupVersionKind};
use reconcile_core::{
    apply::{self, ApplyError},
    error::{Classify, ErrorClass},
    object::{ObjectKey, Root},
};
use serde_json::json;
use thiserror::Error;

use super::{
    RunView,
    build::{NewRun, same_analysis},
};
use crate::api::analysis::AnalysisRun;

/// Field manager of writes.
const MANAGER: &str = "rollouts-controller";
/// Names that are tried for one run; so many runs of one step and revision are not made by people.
const MOST_NAMES: u32 = 100;

/// A run could not be created.
#[derive(Debug, Error)]
pub enum CreateError {
    /// The API server refused or did not answer.
    #[error(transparent)]
    Api(Box<ApplyError>),
    /// The object is not what the API server expects; a defect of this program.
    #[error("the run {0} has no valid form: {1}")]
    Form(ObjectKey, String),
    /// Every name that was tried is taken.
    #[error("{MOST_NAMES} runs with the name {0} exist already")]
    NoName(ObjectKey),
}

impl From<ApplyError> for CreateError {
    fn from(error: ApplyError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl Classify for CreateError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Api(error) => error.class(),
            Self::Form(..) => ErrorClass::Bug,
            Self::NoName(_) => ErrorClass::Transient,
        }
    }
}

fn resource() -> kube::api::ApiResource {
    let kind = GroupVersionKind::gvk("argoproj.io", "v1alpha1", "AnalysisRun");
    apply::resource_of(&kind, "analysisruns")
}

/// Creates `run`. When its name is taken by an equal unfinished run of the same owner, that one is the
/// answer, so that doing the same thing twice makes one run; when it is taken by anything else, the name
/// gets a counter: `.1`, `.2` and so on.
pub async fn create_run(client: &Client, run: &NewRun) -> Result<RunView, CreateError> {
    let mut key = run.key.clone();
    for count in 1..=MOST_NAMES {
        let mut object = run.object.clone();
        object["metadata"]["name"] = key.name.clone().into();
        let object: DynamicObject = serde_json::from_value(object)
            .map_err(|error| CreateError::Form(key.clone(), error.to_string()))?;
        match apply::create(client, &resource(), &key, &object, MANAGER).await {
            Ok(created) => return Ok(RunView::of(&root_of(&key, &created)?)),
            Err(error) if error.code() == Some(409) => {}
            Err(error) => return Err(error.into()),
        }
        if let Some(existing) = apply::get(client, &resource(), &key).await? {
            let existing = root_of(&key, &existing)?;
            if is_ours(run, &existing) {
                return Ok(RunView::of(&existing));
            }
        }
        key = ObjectKey::new(&run.key.namespace, format!("{}.{count}", run.key.name));
    }
    Err(CreateError::NoName(run.key.clone()))
}

fn is_ours(run: &NewRun, existing: &Root<AnalysisRun>) -> bool {
    let view = RunView::of(existing);
    let same_owner = view.owner.is_some_and(|owner| owner.uid == run.owner_uid);
    let same_spec = existing
        .parse_spec()
        .is_ok_and(|spec| same_analysis(&spec, &run.spec));
    same_owner
        && same_spec
        && !view.phase.is_completed()
        && !view.deleting
        // What was asked to end gives no judgement any more.
        && !view.terminate
}

fn root_of(key: &ObjectKey, object: &DynamicObject) -> Result<Root<AnalysisRun>, CreateError> {
    let form = |message: String| CreateError::Form(key.clone(), message);
    let value = serde_json::to_value(object).map_err(|error| form(error.to_string()))?;
    Root::from_value(&value).map_err(|error| form(error.to_string()))
}

/// Asks a run to end: what was measured until then counts. A run that is gone is fine.
pub async fn terminate_run(client: &Client, key: &ObjectKey) -> Result<(), ApplyError> {
    let patch = json!({ "spec": { "terminate": true } });
    match apply::merge_patch(client, &resource(), key, &patch, MANAGER).await {
        Err(error) if error.code() != Some(404) => Err(error),
        _ => Ok(()),
    }
}
