//! Where the API server is.

use std::path::Path;

use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError},
};

use super::StartError;
use crate::args::KubeArgs;

/// The connection settings that the flags name, or those of the pod.
pub async fn kube_config(args: &KubeArgs) -> Result<Config, StartError> {
    let options = KubeConfigOptions {
        context: args.context.clone(),
        ..KubeConfigOptions::default()
    };
    let failed = |error: &dyn std::error::Error| StartError::Config(error.to_string());
    match &args.kubeconfig {
        Some(paths) if !paths.as_os_str().is_empty() => {
            let merged = read_kubeconfigs(paths).map_err(|error| failed(&error))?;
            Config::from_custom_kubeconfig(merged, &options)
                .await
                .map_err(|error| failed(&error))
        }
        _ if args.context.is_some() => Config::from_kubeconfig(&options)
            .await
            .map_err(|error| failed(&error)),
        _ => Config::infer().await.map_err(|error| failed(&error)),
    }
}

/// One kubeconfig, or several as kubectl merges them: in a list, files that do not exist are left out.
fn read_kubeconfigs(paths: &Path) -> Result<Kubeconfig, KubeconfigError> {
    let all: Vec<_> = std::env::split_paths(paths)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    all.iter()
        .filter(|path| all.len() == 1 || path.exists())
        .try_fold(Kubeconfig::default(), |merged, path| {
            merged.merge(Kubeconfig::read_from(path)?)
        })
}
