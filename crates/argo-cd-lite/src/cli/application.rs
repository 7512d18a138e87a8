//! An Application in a file.

use std::path::Path;

use reconcile_core::object::ObjectKey;

use super::{CliError, input, input::FileObject};
use crate::{
    api::{ApplicationSpec, IN_CLUSTER_SERVER},
    clusters::instance_name,
    render::Placement,
};

/// An Application as the verbs need it.
#[derive(Clone, Debug)]
pub(super) struct FileApplication {
    /// Namespace and name.
    pub(super) key: ObjectKey,
    /// The specification.
    pub(super) spec: ApplicationSpec,
    /// Where its objects go and how they are marked.
    pub(super) placement: Placement,
}

/// The Applications of a file. There has to be one.
pub(super) fn read(path: &Path, control_plane: &str) -> Result<Vec<FileApplication>, CliError> {
    let all = input::objects(path)?;
    let apps = all
        .iter()
        .filter(|read| {
            read.object["kind"] == "Application"
                && read.object["apiVersion"]
                    .as_str()
                    .is_some_and(|api| api.starts_with("argoproj.io/"))
        })
        .map(|read| parse(read, control_plane))
        .collect::<Result<Vec<_>, _>>()?;
    if apps.is_empty() {
        return Err(CliError::Input {
            file: path.display().to_string(),
            reason: "there is no Application of argoproj.io in it".to_owned(),
        });
    }
    Ok(apps)
}

fn parse(read: &FileObject, control_plane: &str) -> Result<FileApplication, CliError> {
    let object = &read.object;
    let wrong = |reason: String| CliError::Input {
        file: read.file.clone(),
        reason,
    };
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    let namespace = object["metadata"]["namespace"].as_str();
    let spec: ApplicationSpec = serde_json::from_value(object["spec"].clone())
        .map_err(|error| wrong(format!("Application {name}: spec: {error}")))?;
    let key = ObjectKey::new(namespace.unwrap_or(control_plane), name);
    let placement = Placement {
        instance: instance_name(&key, control_plane),
        namespace: spec.destination.namespace.clone(),
        // Only the cluster knows the URL of another name.
        server: match spec.destination.server.as_str() {
            "" => IN_CLUSTER_SERVER.to_owned(),
            server => server.to_owned(),
        },
        ..Placement::default()
    };
    Ok(FileApplication {
        key,
        spec,
        placement,
    })
}
