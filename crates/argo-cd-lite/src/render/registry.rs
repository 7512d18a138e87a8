//! All renderers, and which of them a source has.

use super::{
    RenderError, SourceType, directory::Directory, helm::Helm, kustomize::Kustomize,
    renderer::Renderer,
};
use crate::{api::ApplicationSource, repo::SourceTree};

/// All renderers. One that is new is a file and a line here.
static RENDERERS: [&dyn Renderer; 3] = [&Helm, &Kustomize, &Directory];

/// The renderer of a source: the one whose options it has, else the one whose file its folder holds.
pub(super) fn renderer_of(
    source: &ApplicationSource,
    tree: &SourceTree,
) -> Result<&'static dyn Renderer, RenderError> {
    if source.plugin.is_some() {
        return Err(RenderError::field(
            "plugin",
            "config management plugins are not supported: render with helm, kustomize or directory",
        ));
    }
    let chosen: Vec<&'static dyn Renderer> = RENDERERS
        .into_iter()
        .filter(|renderer| renderer.chosen(source))
        .collect();
    match chosen.as_slice() {
        [one] => return Ok(*one),
        [] => {}
        several => {
            let names: Vec<&str> = several
                .iter()
                .map(|renderer| renderer.source_type().word())
                .collect();
            return Err(RenderError::field(
                "helm",
                format!("multiple application sources defined: {}", names.join(", ")),
            ));
        }
    }
    let folder = tree.folder(&source.path)?;
    // The last one in lexical order wins, as upstream's walk has it.
    let entries = tree.entries(&folder)?;
    let found = entries.iter().rev().find_map(|(name, _)| owner_of(name));
    Ok(found.unwrap_or(&Directory))
}

/// The renderer whose file this is; its folder is not one of plain manifests.
pub(super) fn owner_of(file_name: &str) -> Option<&'static dyn Renderer> {
    RENDERERS
        .into_iter()
        .find(|renderer| renderer.runs_tool() && renderer.owns(file_name))
}

/// How a source is rendered.
pub fn source_type(
    source: &ApplicationSource,
    tree: &SourceTree,
) -> Result<SourceType, RenderError> {
    Ok(renderer_of(source, tree)?.source_type())
}

impl SourceType {
    /// What the files of a folder make it; `None` for one that may hold plain manifests.
    pub fn of_folder<'n>(names: impl Iterator<Item = &'n str>) -> Option<Self> {
        names.filter_map(owner_of).last().map(Renderer::source_type)
    }
}
