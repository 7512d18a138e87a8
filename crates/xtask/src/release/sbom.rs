//! Software bills of materials in the format of `CycloneDX` 1.5, from what cargo resolved.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

/// What `cargo metadata` says.
#[derive(Deserialize)]
pub(super) struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    repository: Option<String>,
    source: Option<String>,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    /// Nothing for a dependency of the program itself.
    kind: Option<String>,
}

impl Metadata {
    /// Asks cargo what is linked on `target`, without any connection.
    pub(super) fn read(root: &Path, target: &str) -> Result<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["metadata", "--format-version=1", "--locked", "--offline"])
            .args(["--filter-platform", target])
            .current_dir(root)
            .output()
            .context("running cargo metadata")?;
        if !output.status.success() {
            bail!(
                "cargo metadata: {}",
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        serde_json::from_slice(&output.stdout).context("the answer of cargo metadata")
    }

    /// The bill of a binary: every crate that is linked into it, with its licence.
    pub(super) fn bill_of(&self, name: &str) -> Result<Value> {
        let packages: BTreeMap<&str, &Package> = self
            .packages
            .iter()
            .map(|package| (package.id.as_str(), package))
            .collect();
        let main = self
            .packages
            .iter()
            .find(|package| package.name == name && package.source.is_none())
            .with_context(|| format!("no package {name}"))?;
        let linked = self.linked(&main.id);
        let components: Vec<Value> = linked
            .iter()
            .filter(|id| **id != main.id)
            .filter_map(|id| Some(component(packages.get(id)?)))
            .collect();
        let dependencies: Vec<Value> = self
            .resolve
            .nodes
            .iter()
            .filter(|node| linked.contains(node.id.as_str()))
            .filter_map(|node| {
                let on: Vec<String> = links(node)
                    .filter_map(|id| Some(url(packages.get(id)?)))
                    .collect();
                Some(json!({"ref": url(packages.get(node.id.as_str())?), "dependsOn": on}))
            })
            .collect();
        Ok(json!({
            "bomFormat": "CycloneDX",
            "specVersion": "1.5",
            "version": 1,
            "metadata": {"component": {
                "type": "application", "bom-ref": url(main), "name": name, "version": main.version, "purl": url(main),
            }},
            "components": components,
            "dependencies": dependencies,
        }))
    }

    /// Ids of all packages that are linked into one, itself included.
    fn linked(&self, main: &str) -> BTreeSet<&str> {
        let nodes: BTreeMap<&str, &Node> = self
            .resolve
            .nodes
            .iter()
            .map(|node| (node.id.as_str(), node))
            .collect();
        let mut linked = BTreeSet::new();
        let mut open: Vec<&str> = nodes.keys().copied().filter(|id| *id == main).collect();
        while let Some(id) = open.pop() {
            if linked.insert(id)
                && let Some(node) = nodes.get(id).copied()
            {
                open.extend(links(node));
            }
        }
        linked
    }
}

/// Ids of what is linked, apart from what only builds or tests.
fn links(node: &Node) -> impl Iterator<Item = &str> {
    let is_linked =
        |dependency: &&Dependency| dependency.dep_kinds.iter().any(|kind| kind.kind.is_none());
    node.deps
        .iter()
        .filter(is_linked)
        .map(|dependency| dependency.pkg.as_str())
}

fn url(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

fn component(package: &Package) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": url(package),
        "name": package.name,
        "version": package.version,
        "purl": url(package),
    });
    if let Some(license) = &package.license {
        // Some crates still write a slash for "or".
        let expression = license.replace('/', " OR ");
        component["licenses"] = json!([{ "expression": expression }]);
    }
    if let Some(repository) = &package.repository {
        component["externalReferences"] = json!([{"type": "vcs", "url": repository}]);
    }
    component
}
