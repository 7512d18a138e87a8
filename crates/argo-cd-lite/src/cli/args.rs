//! Flags of the verbs.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::args::ToolArgs;

/// Flags of `health`.
#[derive(Args, Clone, Debug)]
pub struct HealthArgs {
    /// Live objects: a file, a folder, or - for standard input.
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    pub file: PathBuf,
    /// The ConfigMap argocd-cm with checks of your own.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// Judge kinds without a check by the conventions for conditions.
    #[arg(long)]
    pub standard_conditions: bool,
}

/// Flags of `actions`.
#[derive(Args, Clone, Debug)]
pub struct ActionsArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ActionsCommand,
}

/// What to do with actions.
#[derive(Clone, Debug, Subcommand)]
pub enum ActionsCommand {
    /// Show the actions that each object has.
    List {
        /// Live objects: a file, a folder, or - for standard input.
        #[arg(long = "filename", short = 'f', value_name = "FILE")]
        file: PathBuf,
        /// The ConfigMap argocd-cm with actions of your own.
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
    },
    /// Show what an action would change; nothing is written.
    Run {
        /// Name of the action.
        name: String,
        /// One live object: a file, or - for standard input.
        #[arg(long = "filename", short = 'f', value_name = "FILE")]
        file: PathBuf,
        /// The ConfigMap argocd-cm with actions of your own.
        #[arg(long, value_name = "FILE")]
        settings: Option<PathBuf>,
        /// Parameters.
        #[arg(value_name = "NAME=VALUE")]
        params: Vec<String>,
    },
}

/// Where the manifests of an Application come from.
#[derive(Args, Clone, Debug, Default)]
pub struct SourceArgs {
    /// Read a repository from a folder on this machine, also where a kustomization names it. May be given several times.
    #[arg(long, value_name = "URL=PATH")]
    pub repo_override: Vec<String>,
    /// Version of Kubernetes that charts see.
    #[arg(
        long,
        default_value = "",
        hide_default_value = true,
        value_name = "VERSION"
    )]
    pub kube_version: String,
    /// API versions that charts see.
    #[arg(long, value_delimiter = ',', value_name = "VERSIONS")]
    pub api_versions: Vec<String>,
    /// Programs that render.
    #[command(flatten)]
    pub tools: ToolArgs,
    /// Let repositories, and what they name, be at link-local and instance metadata addresses.
    #[arg(long)]
    pub repositories_allow_link_local: bool,
    /// Namespace of the control plane; Applications elsewhere have it in the names of their marks.
    #[arg(long, env = "ARGOCD_NAMESPACE", default_value = crate::api::DEFAULT_NAMESPACE, value_name = "NAMESPACE")]
    pub namespace: String,
}

/// Flags of `render`.
#[derive(Args, Clone, Debug)]
pub struct RenderArgs {
    /// The Application: a file, a folder, or - for standard input.
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    pub file: PathBuf,
    /// Where the manifests come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Another revision than the target revision, of the first source and of others from its repository.
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
}

/// Flags of `plan`.
#[derive(Args, Clone, Debug)]
pub struct PlanArgs {
    /// The Application: a file, a folder, or - for standard input.
    #[arg(long = "filename", short = 'f', value_name = "FILE")]
    pub file: PathBuf,
    /// Where the manifests come from.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Live objects, so that the plan knows what is to be pruned: a file or a folder.
    #[arg(long, value_name = "FILE")]
    pub live: Option<PathBuf>,
}

/// Flags of `diff`.
#[derive(Args, Clone, Debug)]
pub struct DiffArgs {
    /// Live objects: a file or a folder.
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with_all = ["file", "from", "to"])]
    pub live: Option<PathBuf>,
    /// Objects as they shall be: a file or a folder.
    #[arg(long, value_name = "FILE", requires = "live")]
    pub target: Option<PathBuf>,
    /// The Application whose ignoreDifferences count.
    #[arg(long, value_name = "FILE", requires = "live")]
    pub app: Option<PathBuf>,
    /// The ConfigMap argocd-cm whose ignoreDifferences count.
    #[arg(long, value_name = "FILE")]
    pub settings: Option<PathBuf>,
    /// The Application whose revisions are compared.
    #[arg(long = "filename", short = 'f', value_name = "FILE", requires_all = ["from", "to"])]
    pub file: Option<PathBuf>,
    /// Old revision.
    #[arg(long, value_name = "REVISION", requires = "file")]
    pub from: Option<String>,
    /// New revision.
    #[arg(long, value_name = "REVISION", requires = "file")]
    pub to: Option<String>,
    /// Where the manifests come from.
    #[command(flatten)]
    pub source: SourceArgs,
}
