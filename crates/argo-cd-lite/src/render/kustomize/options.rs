//! The program of a source and the flags of its build, as `argocd-cm` has them.

use std::{ffi::OsString, sync::Arc};

use super::super::{
    RenderError,
    facts::{CLUSTER_FACT, KUSTOMIZE_FACT, digest},
    renderer::Job,
    tools::Tool,
};
use crate::api::KustomizeSource;

/// Flags that are passed on, with the number of their values.
const PASSED: &[(&str, usize)] = &[
    ("--enable-helm", 0),
    ("--enable-managedby-label", 0),
    ("--helm-api-versions", 1),
    ("--helm-debug", 0),
    ("--helm-kube-version", 1),
    ("--load-restrictor", 1),
    ("--reorder", 1),
    ("--stack-trace", 0),
];

/// How one kustomization is built.
pub(super) struct Build {
    pub(super) tool: Arc<Tool>,
    pub(super) flags: Vec<String>,
    /// Charts inside of the kustomization are rendered.
    pub(super) helm: bool,
    /// The program does not refuse files outside of the kustomization, so the kernel has to.
    pub(super) unrestricted: bool,
}

impl Build {
    /// The program that the source names, with its flags.
    pub(super) fn of(job: &Job<'_>, options: &KustomizeSource) -> Result<Self, RenderError> {
        let settings = job.kustomize;
        job.uses.note(KUSTOMIZE_FACT, digest(settings));
        let mut flags = &settings.build_options;
        let mut tool = job.tools.kustomize();
        if !options.version.is_empty() {
            let version = settings.versions.get(&options.version);
            let version = version.filter(|version| !version.path.as_os_str().is_empty());
            let Some(version) = version else {
                return Err(RenderError::field(
                    "kustomize.version",
                    format!(
                        "version {:?} is not registered: set kustomize.path.{} in argocd-cm, or leave the field empty",
                        options.version, options.version
                    ),
                ));
            };
            tool = job.tools.kustomize_at(&version.path);
            flags = version.build_options.as_ref().unwrap_or(flags);
        }
        job.note_tool(&tool);
        checked(tool, flags)
    }

    /// The program may read more than the kustomization, or starts another one: it then sees the files of the source only.
    pub(super) fn is_open(&self) -> bool {
        self.helm || self.unrestricted
    }

    /// The arguments of the build, with what charts may ask of the cluster.
    pub(super) fn arguments(
        &self,
        job: &Job<'_>,
        options: &KustomizeSource,
    ) -> Result<Vec<OsString>, RenderError> {
        let mut arguments: Vec<OsString> = vec!["build".into(), ".".into()];
        arguments.extend(self.flags.iter().map(OsString::from));
        if !self.helm {
            return Ok(arguments);
        }
        let helm = job.tools.helm();
        job.note_tool(helm);
        arguments.push("--helm-command".into());
        arguments.push(helm.path()?.into());
        job.uses.note(CLUSTER_FACT, job.cluster.digest());
        let version = [&options.kube_version, &job.cluster.kube_version];
        if let Some(version) = version.into_iter().find(|version| !version.is_empty()) {
            arguments.push("--helm-kube-version".into());
            arguments.push(version.trim_start_matches('v').into());
        }
        let served = if options.api_versions.is_empty() {
            &job.cluster.api_versions
        } else {
            &options.api_versions
        };
        for one in served {
            arguments.push("--helm-api-versions".into());
            arguments.push(one.into());
        }
        Ok(arguments)
    }
}

/// Refuses what could start programs, reach the network or write elsewhere.
fn checked(tool: Arc<Tool>, flags: &[String]) -> Result<Build, RenderError> {
    let mut build = Build {
        tool,
        flags: Vec::new(),
        helm: false,
        unrestricted: false,
    };
    let mut rest = flags.iter();
    while let Some(word) = rest.next() {
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.to_owned())),
            None => (word.as_str(), None),
        };
        let Some((flag, values)) = PASSED.iter().find(|(known, _)| *known == flag) else {
            return Err(RenderError::field(
                "kustomize",
                format!(
                    "kustomize.buildOptions of argocd-cm has {flag:?}, which is not permitted here; permitted are {}",
                    PASSED
                        .iter()
                        .map(|(flag, _)| *flag)
                        .collect::<Vec<_>>()
                        .join(", ")
                ),
            ));
        };
        if *values == 0 {
            let on = !matches!(value.as_deref(), Some("false" | "0"));
            build.helm |= *flag == "--enable-helm" && on;
            if on {
                build.flags.push((*flag).to_owned());
            }
            continue;
        }
        let value = value.or_else(|| rest.next().cloned()).ok_or_else(|| {
            RenderError::field(
                "kustomize",
                format!("kustomize.buildOptions of argocd-cm: {flag} needs a value"),
            )
        })?;
        build.unrestricted |= *flag == "--load-restrictor" && value != "LoadRestrictionsRootOnly";
        build.flags.push(format!("{flag}={value}"));
    }
    Ok(build)
}
