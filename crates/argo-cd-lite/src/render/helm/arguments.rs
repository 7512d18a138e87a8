//! The command line of `helm template`; a pure function of the source.

use std::{ffi::OsString, path::PathBuf};

use super::values::{ParameterFile, ValueFile};
use crate::{
    api::HelmSource,
    render::{ClusterFacts, environment::Environment},
};

/// What the command line says.
pub(super) struct Chart<'a> {
    pub(super) helm: &'a HelmSource,
    pub(super) environment: &'a Environment<'a>,
    pub(super) release: &'a str,
    /// Namespace of the destination.
    pub(super) namespace: &'a str,
    /// The cluster, when the chart may ask about it.
    pub(super) cluster: Option<&'a ClusterFacts>,
    pub(super) value_files: &'a [ValueFile],
    pub(super) parameter_files: &'a [ParameterFile],
}

/// The arguments. Later values count more: files, inline values, then parameters by kind.
pub(super) fn arguments(chart: &Chart<'_>) -> Vec<OsString> {
    let helm = chart.helm;
    let mut out: Vec<OsString> = vec!["template".into(), ".".into()];
    let mut flag = |name: &str, value: OsString| {
        let mut argument = OsString::from(name);
        argument.push("=");
        argument.push(value);
        out.push(argument);
    };
    flag("--name-template", chart.release.into());
    let namespace = if helm.namespace.is_empty() {
        chart.namespace
    } else {
        &helm.namespace
    };
    if !namespace.is_empty() {
        flag("--namespace", namespace.into());
    }
    let known = chart.cluster;
    let kube_version = match helm.kube_version.as_str() {
        "" => known.map_or("", |cluster| &cluster.kube_version),
        own => own,
    };
    if !kube_version.is_empty() {
        flag("--kube-version", kube_version.into());
    }
    for force_string in [false, true] {
        let name = if force_string {
            "--set-string"
        } else {
            "--set"
        };
        let parameters = helm.parameters.iter().enumerate().filter(|(at, one)| {
            let later = &helm.parameters[at + 1..];
            one.force_string == force_string
                && !later
                    .iter()
                    .any(|other| other.name == one.name && other.force_string == force_string)
        });
        for (_, parameter) in parameters {
            let value = escape(&chart.environment.substitute(&parameter.value));
            flag(name, format!("{}={value}", parameter.name).into());
        }
    }
    for file in chart.parameter_files {
        let path: &PathBuf = &file.path;
        let mut value = OsString::from(format!("{}=", file.name));
        value.push(path);
        flag("--set-file", value);
    }
    for file in chart.value_files {
        flag("--values", file.path.clone().into_os_string());
    }
    let api_versions = match helm.api_versions.as_slice() {
        [] => known.map_or(&[][..], |cluster| &cluster.api_versions),
        own => own,
    };
    for version in api_versions {
        flag("--api-versions", version.into());
    }
    out.extend(switches(helm));
    out
}

fn switches(helm: &HelmSource) -> impl Iterator<Item = OsString> {
    let switches = [
        (!helm.skip_crds, "--include-crds"),
        (helm.skip_schema_validation, "--skip-schema-validation"),
        (helm.skip_tests, "--skip-tests"),
    ];
    switches
        .into_iter()
        .filter(|(on, _)| *on)
        .map(|(_, name)| name.into())
}

/// A value whose commas do not end it: they are escaped, unless they are already or the value is a list.
fn escape(value: &str) -> String {
    if value.starts_with('{') && value.ends_with('}') {
        return value.to_owned();
    }
    let mut out = String::with_capacity(value.len());
    let mut before = ' ';
    for next in value.chars() {
        if next == ',' && before != '\\' {
            out.push('\\');
        }
        out.push(next);
        before = next;
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::render::environment::Uses;

    fn line(helm: serde_json::Value, cluster: Option<&ClusterFacts>) -> String {
        let uses = Uses::default();
        let helm: HelmSource = serde_json::from_value(helm).expect("options");
        let environment = Environment {
            app: "shop",
            namespace: "prod",
            project: "default",
            repo_url: "",
            path: "",
            target_revision: "",
            revision: "",
            index: 0,
            uses: &uses,
        };
        let value_files = [ValueFile {
            path: "/x/values/0.yaml".into(),
            shown: "a.yaml".into(),
            content: Vec::new(),
        }];
        let parameter_files = [ParameterFile {
            name: "cert".into(),
            path: "/x/files/0".into(),
        }];
        let chart = Chart {
            helm: &helm,
            environment: &environment,
            release: "shop",
            namespace: "prod",
            cluster,
            value_files: &value_files,
            parameter_files: &parameter_files,
        };
        let all: Vec<String> = arguments(&chart)
            .into_iter()
            .map(|argument| argument.into_string().expect("text"))
            .collect();
        all.join(" ")
    }

    #[test]
    fn later_values_count_more_and_the_last_of_a_name_counts() {
        let helm = json!({
            "parameters": [
                {"name": "a", "value": "1"},
                {"name": "s", "value": "$ARGOCD_APP_NAME", "forceString": true},
                {"name": "a", "value": "x,y"},
                {"name": "list", "value": "{x,y}"},
                {"name": "escaped", "value": "x\\,y"},
            ],
        });
        assert_eq!(
            line(helm, None),
            "template . --name-template=shop --namespace=prod --set=a=x\\,y --set=list={x,y} \
             --set=escaped=x\\,y --set-string=s=shop --set-file=cert=/x/files/0 \
             --values=/x/values/0.yaml --include-crds"
        );
    }

    #[test]
    fn the_source_may_say_what_the_chart_sees() {
        let cluster = ClusterFacts {
            kube_version: "1.30.0".into(),
            api_versions: vec!["v1".into(), "apps/v1".into()],
        };
        let seen = line(json!({"skipCrds": true, "skipTests": true}), Some(&cluster));
        assert!(
            seen.ends_with("--api-versions=v1 --api-versions=apps/v1 --skip-tests"),
            "{seen}"
        );
        assert!(seen.contains("--kube-version=1.30.0"), "{seen}");
        let own = json!({
            "kubeVersion": "1.20", "apiVersions": ["x/v1"], "namespace": "own",
            "skipSchemaValidation": true,
        });
        let own = line(own, Some(&cluster));
        assert!(
            own.contains("--namespace=own --kube-version=1.20 ")
                && own.ends_with("--api-versions=x/v1 --include-crds --skip-schema-validation"),
            "{own}"
        );
    }
}
