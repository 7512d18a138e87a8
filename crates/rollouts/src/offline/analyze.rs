//! `rollouts analyze`: an analysis now, against the real providers.

use std::{collections::HashSet, io::Write, path::PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use kube::{Client, Config};
use reconcile_core::{
    args::KubeArgs,
    clock::Clock,
    object::Kind,
    operator::{install_tls, kube_config},
};

use super::{files, placed};
use crate::{
    analysis::{AnalysisIndexes, ProviderConfig, trial},
    api::analysis::{
        AnalysisPhase, AnalysisTemplate, Argument, ClusterAnalysisTemplate, TemplateRef,
    },
};

/// Flags of `rollouts analyze`.
#[derive(Args, Clone, Debug)]
pub struct AnalyzeArgs {
    /// Files and directories with templates; `-` reads standard input. All of them are measured together,
    /// but those that another one names are measured as a part of it.
    #[arg(long = "filename", short = 'f', required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A value for an argument of the templates.
    #[arg(long = "arg", short = 'a', value_name = "NAME=VALUE")]
    pub arguments: Vec<String>,
    /// Where Secrets and Jobs are; metrics that use none need no cluster.
    #[command(flatten)]
    pub kube: KubeArgs,
    /// Namespace of the Secrets that arguments name, and of Jobs; that of the kubeconfig when absent.
    #[arg(long, short = 'n', value_name = "NAMESPACE")]
    pub namespace: Option<String>,
    /// Namespace of the controller, with the credentials of monitoring services.
    #[arg(long, default_value = "argo-rollouts", value_name = "NAMESPACE")]
    pub controller_namespace: String,
    /// Address of Prometheus for metrics that name none.
    #[arg(long, env = "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS", value_name = "URL")]
    pub prometheus_address: Option<String>,
    /// Let metrics call link-local and instance metadata addresses.
    #[arg(long)]
    pub analysis_allow_link_local: bool,
}

/// Measures until there is a verdict, or until `stop` is done; then what was started is ended. Writes each
/// measurement and the verdict to `out`. True for a successful analysis.
pub async fn run(
    args: AnalyzeArgs,
    stop: impl Future<Output = ()>,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let arguments = arguments(&args.arguments)?;
    let sources = AnalysisIndexes::default();
    let wanted = wanted(&args.files, &sources)?;
    let templates = sources.templates.resolve("default", &wanted)?;
    let spec = trial::spec(&templates, &arguments)?;
    install_tls();
    let config = config(&args.kube).await?;
    let namespace = args
        .namespace
        .unwrap_or_else(|| config.default_namespace.clone());
    let client = Client::try_from(config).context("cannot use the kubeconfig")?;
    let providers = ProviderConfig {
        prometheus_address: args.prometheus_address,
        namespace: args.controller_namespace,
        allow_link_local: args.analysis_allow_link_local,
    };
    let trial = trial::Trial::new(spec, namespace, client, Clock::system(), providers);
    let status = trial.run(stop, |line| writeln!(out, "{line}")).await?;
    match status.message.as_str() {
        "" => writeln!(out, "{}", status.phase)?,
        message => writeln!(out, "{}: {message}", status.phase)?,
    }
    Ok(status.phase == AnalysisPhase::Successful)
}

fn arguments(given: &[String]) -> anyhow::Result<Vec<Argument>> {
    given
        .iter()
        .map(|pair| match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => Ok(Argument {
                name: name.to_owned(),
                value: Some(value.to_owned()),
                value_from: None,
            }),
            _ => bail!("--arg {pair}: write it as name=value"),
        })
        .collect()
}

/// The templates of the files that no other one names. All templates are put into `sources`, as if they
/// were in one namespace.
fn wanted(files: &[PathBuf], sources: &AnalysisIndexes) -> anyhow::Result<Vec<TemplateRef>> {
    let mut found = Vec::new();
    let mut nested = HashSet::new();
    for manifest in files::read(files)? {
        let mut object = placed(manifest.object);
        let cluster_scope = match object["kind"].as_str().unwrap_or_default() {
            AnalysisTemplate::KIND => false,
            ClusterAnalysisTemplate::KIND => true,
            _ => continue,
        };
        if !cluster_scope {
            object["metadata"]["namespace"] = "default".into();
        }
        sources
            .add(&object)
            .with_context(|| manifest.file.clone())?;
        let inner = object["spec"]["templates"].as_array();
        for reference in inner.into_iter().flatten() {
            if let Ok(reference) = serde_json::from_value::<TemplateRef>(reference.clone()) {
                nested.insert(reference);
            }
        }
        found.push(TemplateRef {
            template_name: object["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            cluster_scope,
        });
    }
    if found.is_empty() {
        bail!("there is no AnalysisTemplate in the files");
    }
    let all = found.clone();
    found.retain(|reference| !nested.contains(reference));
    // Templates that name one another in a circle have no outermost one.
    Ok(if found.is_empty() { all } else { found })
}

/// The connection to the cluster. Where none is named and none is found it leads nowhere, and says so when it is needed.
async fn config(kube: &KubeArgs) -> anyhow::Result<Config> {
    let paths = kube.kubeconfig.as_ref();
    let is_named =
        kube.context.is_some() || paths.is_some_and(|paths| !paths.as_os_str().is_empty());
    match kube_config(kube).await {
        Err(_) if !is_named => Ok(Config::new(NOWHERE.parse()?)),
        config => Ok(config?),
    }
}

/// Stands for the API server where there is none; the name cannot be resolved.
const NOWHERE: &str = "http://no-kubeconfig-was-given.invalid";

#[cfg(test)]
mod tests {
    use std::{fs, future::pending};

    use axum::{Router, routing::get};

    use super::*;

    async fn analyzed(condition: &str, more: &[&str]) -> anyhow::Result<(bool, String)> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = Router::new().route("/", get(|| async { "{\"rate\": 0.5}" }));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let home = tempfile::tempdir()?;
        fs::write(
            home.path().join("a.yaml"),
            format!(
                "kind: AnalysisTemplate\nmetadata: {{name: outer}}\nspec: {{templates: [{{templateName: inner}}]}}\n---\n\
                 kind: AnalysisTemplate\nmetadata: {{name: inner}}\nspec: {{args: [{{name: url}}], metrics: [{{name: rate, \
                 count: 2, interval: 1s, successCondition: '{condition}', provider: {{web: {{url: '{{{{args.url}}}}'}}}}}}]}}\n"
            ),
        )?;
        let url = format!("url=http://{address}/");
        let arguments = more.iter().map(|text| (*text).to_owned());
        let args = AnalyzeArgs {
            files: vec![home.path().to_owned()],
            arguments: if more.is_empty() {
                vec![url]
            } else {
                arguments.collect()
            },
            kube: KubeArgs {
                kubeconfig: None,
                context: None,
            },
            namespace: None,
            controller_namespace: "argo-rollouts".to_owned(),
            prometheus_address: None,
            analysis_allow_link_local: false,
        };
        let mut out = Vec::new();
        let good = run(args, pending(), &mut out).await?;
        Ok((good, String::from_utf8(out)?))
    }

    #[tokio::test]
    async fn each_measurement_and_the_verdict_are_printed() {
        let (good, text) = analyzed("result.rate > 0.1", &[])
            .await
            .expect("an analysis");
        assert!(good, "{text}");
        assert_eq!(
            text.matches("rate: Successful {\"rate\":0.5}").count(),
            2,
            "{text}"
        );
        assert!(text.ends_with("\nSuccessful\n"), "{text}");
        let (good, text) = analyzed("result.rate > 1", &[]).await.expect("an analysis");
        assert!(!good);
        let verdict =
            "\nFailed: Metric \"rate\" assessed Failed due to failed (1) > failureLimit (0)\n";
        assert!(text.ends_with(verdict), "{text}");
    }

    #[tokio::test]
    async fn a_missing_or_broken_argument_is_named() {
        for (given, message) in [
            ("url", "--arg url: write it as name=value"),
            ("other=1", "args.url was not resolved"),
        ] {
            let error = analyzed("true", &[given]).await.expect_err("no analysis");
            assert_eq!(error.to_string(), message);
        }
    }

    #[tokio::test]
    async fn a_kubeconfig_that_is_named_must_be_readable() {
        let home = tempfile::tempdir().expect("a directory");
        let kubeconfig = Some(home.path().join("absent"));
        let kube = KubeArgs {
            kubeconfig,
            context: None,
        };
        let error = config(&kube).await.expect_err("no such file");
        assert!(error.to_string().contains("absent"), "{error}");
    }
}
