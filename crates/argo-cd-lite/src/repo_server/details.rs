//! The options of a source, for forms.

use reconcile_core::yaml;
use serde_json::Value;

use super::{
    error::CallError,
    manifests::repos,
    messages::{
        DirectoryAppSpec, HelmAppSpec, HelmFileParameter, HelmParameter, KustomizeAppSpec,
        ManifestRequest, RepoAppDetailsResponse, RepoServerAppDetailsQuery,
    },
    reach::{Age, Offered, Repositories, check_same},
};
use crate::{
    api::{ApplicationSource, HelmSource},
    render::{SourceType, images, source_type},
    repo::{GitError, SourceTree, join},
};

/// Bytes of one file of values.
const MAX_VALUES: u64 = 4 << 20;
/// Parameters of one answer.
const MAX_PARAMETERS: usize = 10_000;

impl Repositories {
    /// Type and options of a source.
    pub(super) async fn app_details(
        &self,
        request: RepoServerAppDetailsQuery,
    ) -> Result<RepoAppDetailsResponse, CallError> {
        let repo = request
            .repo
            .as_ref()
            .ok_or_else(|| CallError::missing("repo"))?;
        let given = request
            .source
            .as_ref()
            .ok_or_else(|| CallError::missing("source"))?;
        let source = given
            .to_api()
            .map_err(|error| CallError::Invalid(error.to_string()))?;
        check_same(repo, &source)?;
        let reach = self
            .reach(&repos(repo, &request.ref_sources), Offered::default())
            .await?;
        let age = Age::of(request.no_revision_cache);
        let open = reach.open(&source, "", age).await?;
        let read = {
            let open = open.clone();
            move |_: &_| {
                let tree = open.files.tree()?;
                let type_ = source_type(&open.source, &tree)?;
                let helm = match type_ {
                    SourceType::Helm => Some(helm(&tree, &open.source)?),
                    _ => None,
                };
                Ok::<_, CallError>((type_, helm))
            }
        };
        let (type_, helm) = reach.hub.read(read).await??;
        let mut details = RepoAppDetailsResponse {
            type_: type_.word().to_owned(),
            helm,
            ..RepoAppDetailsResponse::default()
        };
        match type_ {
            SourceType::Helm => {}
            SourceType::Directory => details.directory = Some(DirectoryAppSpec {}),
            SourceType::Kustomize => {
                let manifests = self.generate_manifest(ManifestRequest {
                    repo: request.repo.clone(),
                    revision: open.revision,
                    app_name: request.app_name,
                    application_source: request.source.clone(),
                    repos: request.repos.clone(),
                    ref_sources: request.ref_sources.clone(),
                    ..ManifestRequest::default()
                });
                let manifests = manifests.await?.manifests;
                details.kustomize = Some(KustomizeAppSpec {
                    images: images_of(&manifests),
                });
            }
        }
        Ok(details)
    }
}

fn images_of(manifests: &[String]) -> Vec<String> {
    let values = manifests
        .iter()
        .filter_map(|text| serde_json::from_str::<Value>(text).ok());
    let found = values.flat_map(|object| images(&object));
    let mut all: Vec<String> = found.map(String::from).collect();
    all.sort();
    all.dedup();
    all
}

/// Values and parameters of a chart.
fn helm(tree: &SourceTree, source: &ApplicationSource) -> Result<HelmAppSpec, CallError> {
    let folder = tree.folder(&source.path)?;
    let entries = tree.entries(&folder)?;
    let is_values = |name: &str| {
        let yaml = [".yaml", ".yml"].iter().any(|end| name.ends_with(end));
        name.contains("values") && yaml
    };
    let files: Vec<String> = entries
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| is_values(name))
        .collect();
    let own = read(tree, &join(&folder.path, "values.yaml"))?.unwrap_or_default();
    let options = source.helm.clone().unwrap_or_default();
    let mut parameters = Parameters::default();
    parameters.add(&own)?;
    for file in &options.value_files {
        // Those of other sources and of URLs are shown by their names.
        if file.starts_with('$') || file.contains("://") {
            continue;
        }
        let path = match file.strip_prefix('/') {
            Some(whole) => whole.to_owned(),
            None => join(&folder.path, file),
        };
        match read(tree, &path)? {
            Some(text) => parameters.add(&text)?,
            None if options.ignore_missing_value_files => {}
            None => return Err(GitError::NoPath { path }.into()),
        }
    }
    add_own(&mut parameters, &options)?;
    let name = chart_name(tree, &folder.path)?;
    let own_files = options
        .file_parameters
        .iter()
        .map(|file| HelmFileParameter {
            name: file.name.clone(),
            path: file.path.clone(),
        });
    Ok(HelmAppSpec {
        name,
        value_files: files,
        parameters: parameters.finish(),
        values: own,
        file_parameters: own_files.collect(),
    })
}

fn add_own(parameters: &mut Parameters, options: &HelmSource) -> Result<(), CallError> {
    match &options.values_object {
        Some(values) => parameters.flatten(values),
        None => parameters.add(&options.values)?,
    }
    for own in &options.parameters {
        parameters.set(&own.name, own.value.clone());
    }
    Ok(())
}

fn chart_name(tree: &SourceTree, folder: &str) -> Result<String, CallError> {
    let text = read(tree, &join(folder, "Chart.yaml"))?.unwrap_or_default();
    let chart = parse(&text)?;
    Ok(chart["name"].as_str().unwrap_or_default().to_owned())
}

fn read(tree: &SourceTree, path: &str) -> Result<Option<String>, CallError> {
    let content = tree.file(path, MAX_VALUES)?;
    Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
}

fn parse(text: &str) -> Result<Value, CallError> {
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    yaml::value(text).map_err(|error| CallError::Invalid(error.to_string()))
}

/// Single values by their path, as `helm --set` names them.
#[derive(Default)]
struct Parameters(std::collections::BTreeMap<String, String>);

impl Parameters {
    fn add(&mut self, text: &str) -> Result<(), CallError> {
        self.flatten(&parse(text)?);
        Ok(())
    }

    fn set(&mut self, name: &str, value: String) {
        if self.0.len() < MAX_PARAMETERS || self.0.contains_key(name) {
            self.0.insert(name.to_owned(), value);
        }
    }

    fn flatten(&mut self, value: &Value) {
        let mut open = vec![(String::new(), value)];
        while let Some((path, value)) = open.pop() {
            match value {
                Value::Object(fields) => {
                    for (name, value) in fields {
                        let name = name.replace('.', "\\.");
                        let path = if path.is_empty() {
                            name
                        } else {
                            format!("{path}.{name}")
                        };
                        open.push((path, value));
                    }
                }
                Value::Array(items) => {
                    for (index, value) in items.iter().enumerate() {
                        open.push((format!("{path}[{index}]"), value));
                    }
                }
                _ if path.is_empty() => {}
                Value::Null => self.set(&path, String::new()),
                Value::String(text) => self.set(&path, text.clone()),
                other => self.set(&path, other.to_string()),
            }
        }
    }

    fn finish(self) -> Vec<HelmParameter> {
        let parameters = self.0.into_iter().map(|(name, value)| HelmParameter {
            name,
            value,
            force_string: false,
        });
        parameters.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_parameters_and_later_ones_win() {
        let mut parameters = Parameters::default();
        parameters
            .add("image: {tag: '1', pull: true}\nports: [80, 443]\n'a.b': x\n")
            .expect("YAML");
        parameters.add("image: {tag: '2'}").expect("YAML");
        let shown: Vec<String> = parameters
            .finish()
            .into_iter()
            .map(|one| format!("{}={}", one.name, one.value))
            .collect();
        assert_eq!(
            shown,
            [
                "a\\.b=x",
                "image.pull=true",
                "image.tag=2",
                "ports[0]=80",
                "ports[1]=443"
            ]
        );
    }
}
