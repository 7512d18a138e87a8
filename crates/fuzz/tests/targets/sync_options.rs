//! Annotations that steer a sync.

use std::collections::BTreeMap;

use argo_cd_lite::sync::SyncOptions;
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        "Prune=false,Replace=true",
        "ServerSideApply=true",
        "Delete=confirm, Force=true",
    ],
    tokens: &[",", "=", " ", "true", "false", "Prune", "\n"],
};

#[test]
fn sync_options() {
    fuzz::run(MATERIAL, |text| {
        let options = SyncOptions::from_annotation(text);
        let _ = (
            options.unsupported(),
            options.value(text),
            options.has(text),
        );
        let _ = BTreeMap::from([("argocd.argoproj.io/sync-options", text)]);
    });
}
