//! Is the spec one that can be acted on? Everything that is asked for and not supported is named.

use std::collections::HashSet;

use reconcile_core::{
    credentials::redact_url,
    fields::{self, Field},
};
use serde_json::Value;

use super::Problem;
use crate::{
    api::{
        ApplicationSource, ApplicationSpec,
        fields::{APP_PROJECT, APPLICATION},
    },
    clusters::{Destination, DestinationError},
    diff::jq_problem,
    project::Project,
    repo::{
        FileRepositories, ambiguity, has_password, is_packed, is_remote_repository, packed_problem,
    },
    sync::SyncOptions,
};

/// Everything that is wrong with a spec or asked for and not supported.
pub(super) fn problems(
    raw: &Value,
    spec: &ApplicationSpec,
    destination: &Result<Destination, DestinationError>,
    project: Option<&Project>,
    files: FileRepositories,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    unsupported_fields(raw, &mut problems);
    sources(spec, files, &mut problems);
    if let Err(error) = destination {
        problems.push(Problem::invalid_spec(error.to_string()));
    }
    options(spec, &mut problems);
    match project {
        None => problems.push(Problem::invalid_spec(format!(
            "Application referencing project {} which does not exist",
            spec.project_name()
        ))),
        Some(project) => permissions(spec, destination.as_ref().ok(), project, &mut problems),
    }
    problems
}

fn unsupported_fields(raw: &Value, problems: &mut Vec<Problem>) {
    if let Some(list) = unsupported(raw, "spec", APPLICATION) {
        problems.push(Problem::invalid_spec(format!("not supported yet: {list}")));
    }
}

/// The fields below `root` that we would not honour, as one text.
pub(super) fn unsupported(raw: &Value, root: &str, table: &[Field]) -> Option<String> {
    let found = fields::findings(raw, root, table);
    let names: Vec<String> = found.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn sources(spec: &ApplicationSpec, files: FileRepositories, problems: &mut Vec<Problem>) {
    let several = spec.has_several_sources();
    if spec.sources().is_empty() {
        problems.push(Problem::invalid_spec("spec.source is required"));
    }
    let mut references = HashSet::new();
    for (index, source) in spec.sources().iter().enumerate() {
        let field = if several {
            format!("spec.sources[{index}]")
        } else {
            "spec.source".to_owned()
        };
        if let Some(problem) = source_problem(source, files) {
            problems.push(Problem::invalid_spec(
                problem.replace("spec.source", &field),
            ));
        }
        let reference = source.reference.as_str();
        if reference.is_empty() {
            continue;
        }
        if !several {
            problems.push(Problem::invalid_spec(format!(
                "{field}.ref has a meaning in spec.sources only"
            )));
        }
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
        if !reference.chars().all(allowed) {
            problems.push(Problem::invalid_spec(format!(
                "{field}.ref {reference:?} may have letters, digits, - and _ only"
            )));
        }
        if !references.insert(reference) {
            problems.push(Problem::invalid_spec(format!(
                "{field}.ref {reference:?} is the name of another source"
            )));
        }
    }
}

/// The first thing that is wrong with a source.
pub(super) fn source_problem(
    source: &ApplicationSource,
    files: FileRepositories,
) -> Option<String> {
    let url = source.repo_url.trim();
    if url.is_empty() {
        return Some("spec.source.repoURL is required".to_owned());
    }
    if has_password(url) {
        return Some(
            "spec.source.repoURL must not hold a password: put it into a Secret with the label argocd.argoproj.io/secret-type: repository"
                .to_owned(),
        );
    }
    if is_packed(source) {
        return packed_problem(source).or_else(|| options_problem(source));
    }
    let is_file = url.starts_with("file://");
    if is_file && files == FileRepositories::Refuse {
        return Some(
            "spec.source.repoURL: file:// repositories are refused; the controller's flag --allow-file-repositories permits them"
                .to_owned(),
        );
    }
    if !is_file && !is_remote_repository(url) {
        return Some(format!(
            "spec.source.repoURL {:?} is no address of a repository: use https://, http://, ssh:// or user@host:path",
            redact_url(url)
        ));
    }
    if let Some(reason) = ambiguity(url) {
        return Some(format!("spec.source.repoURL {reason}"));
    }
    // What the ledger reports needs no second message.
    let reported = source.plugin.is_some();
    if source.path.is_empty() && source.reference.is_empty() && !reported {
        return Some("spec.source.path or spec.source.chart is required".to_owned());
    }
    if source.path.starts_with('/') {
        return Some("spec.source.path must be relative to the repository".to_owned());
    }
    options_problem(source)
}

/// A source with options of several kinds.
fn options_problem(source: &ApplicationSource) -> Option<String> {
    let options = [
        ("helm", source.helm.is_some()),
        ("kustomize", source.kustomize.is_some()),
        ("directory", source.directory.is_some()),
    ];
    let options: Vec<&str> = options
        .into_iter()
        .filter(|(_, given)| *given)
        .map(|(name, _)| name)
        .collect();
    if options.len() > 1 {
        return Some(format!(
            "spec.source has options of more than one kind of source: {}",
            options.join(", ")
        ));
    }
    None
}

fn options(spec: &ApplicationSpec, problems: &mut Vec<Problem>) {
    let Some(policy) = &spec.sync_policy else {
        return;
    };
    let options = SyncOptions::from_list(policy.sync_options.iter().map(String::as_str));
    let unsupported = options.unsupported();
    if !unsupported.is_empty() {
        problems.push(Problem::invalid_spec(format!(
            "spec.syncPolicy.syncOptions not supported yet: {}",
            unsupported.join(", ")
        )));
    }
    for rule in &spec.ignore_differences {
        if let Some(bad) = rule
            .json_pointers
            .iter()
            .find(|pointer| !pointer.starts_with('/'))
        {
            problems.push(Problem::invalid_spec(format!(
                "spec.ignoreDifferences: {bad:?} is not a JSON pointer, which begins with /"
            )));
        }
        if let Some(error) = jq_problem(&rule.jq_path_expressions) {
            problems.push(Problem::invalid_spec(format!(
                "spec.ignoreDifferences: {error}"
            )));
        }
    }
}

fn permissions(
    spec: &ApplicationSpec,
    cluster: Option<&Destination>,
    project: &Project,
    problems: &mut Vec<Problem>,
) {
    for source in spec
        .sources()
        .iter()
        .filter(|source| !project.permits_repository(&source.repo_url))
    {
        problems.push(Problem::invalid_spec(format!(
            "application repo {} is not permitted in project '{}'",
            redact_url(&source.repo_url),
            project.name
        )));
    }
    let namespace = &spec.destination.namespace;
    if let Some(cluster) = cluster
        && !project.permits_destination(cluster, namespace)
    {
        problems.push(Problem::invalid_spec(format!(
            "application destination server '{}' and namespace '{namespace}' do not match any of the allowed destinations in project '{}'",
            cluster.server, project.name
        )));
    }
}

/// What a project asks for and does not get. It stops the project's applications, because to ignore a
/// limit would be worse than to stop.
pub(super) fn project_problem(name: &str, raw: &Value) -> Option<Problem> {
    unsupported(raw, "spec", APP_PROJECT)
        .map(|list| Problem::invalid_spec(format!("project {name}: not supported yet: {list}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_by_https_and_ssh_pass_and_others_say_what_to_write() {
        let problem = |url: &str| {
            let source = ApplicationSource {
                repo_url: url.to_owned(),
                path: "app".to_owned(),
                ..ApplicationSource::default()
            };
            source_problem(&source, FileRepositories::Refuse)
        };
        for url in [
            "https://git.example.com/a.git",
            "http://git.example.com/a.git",
            "ssh://git@git.example.com:2222/a.git",
            "git@git.example.com:owner/a.git",
        ] {
            assert_eq!(problem(url), None, "{url}");
        }
        for url in [
            "git.example.com/a",
            "ftp://git.example.com/a",
            "-oProxyCommand=sh:a",
        ] {
            let problem = problem(url).expect(url);
            assert!(problem.contains("use https://"), "{problem}");
        }
    }
}
