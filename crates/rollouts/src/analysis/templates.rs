//! The templates of the cluster, and the way from references to specs.

use std::collections::HashSet;

use reconcile_core::{
    object::{FieldError, ObjectKey, Root},
    watch::Index,
};
use thiserror::Error;

use crate::api::analysis::{
    AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate, TemplateRef,
};

/// Templates that may be nested into one another; more than any sane set, and a bound for absurd ones.
const MOST_TEMPLATES: usize = 256;

/// All templates that the process may see, as last read. Cloning is cheap.
#[derive(Clone, Default)]
pub struct Templates {
    /// `AnalysisTemplate`s by namespace and name.
    pub namespaced: Index<Root<AnalysisTemplate>>,
    /// `ClusterAnalysisTemplate`s by name; stays empty where the process is confined to a namespace.
    pub cluster: Index<Root<ClusterAnalysisTemplate>>,
}

/// A reference that leads nowhere.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TemplateError {
    /// There is no such template; it may still come.
    #[error("{kind} '{name}' not found")]
    NotFound {
        /// Kind of the missing template.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// The template cannot be read.
    #[error("{kind} '{name}': {error}")]
    Malformed {
        /// Kind of the template.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The field that has a wrong form.
        error: FieldError,
    },
    /// Far too many templates refer to one another.
    #[error("more than {MOST_TEMPLATES} analysis templates are nested")]
    TooMany,
}

impl Templates {
    /// The templates that `refs` name from `namespace`, nested ones included: each once, those of the
    /// namespace first and those of the cluster after them, each group in the order of first mention.
    /// Templates that refer to one another in a circle are each taken once.
    pub fn resolve(
        &self,
        namespace: &str,
        refs: &[TemplateRef],
    ) -> Result<Vec<AnalysisTemplateSpec>, TemplateError> {
        let (mut namespaced, mut cluster) = (Vec::new(), Vec::new());
        let mut seen: HashSet<TemplateRef> = HashSet::new();
        // Depth first, as upstream: what a template nests follows it directly.
        let mut open: Vec<TemplateRef> = refs.iter().rev().cloned().collect();
        while let Some(next) = open.pop() {
            if !seen.insert(next.clone()) {
                continue;
            }
            if seen.len() > MOST_TEMPLATES {
                return Err(TemplateError::TooMany);
            }
            let spec = self.find(namespace, &next)?;
            open.extend(spec.templates.iter().rev().cloned());
            if next.cluster_scope {
                cluster.push(spec);
            } else {
                namespaced.push(spec);
            }
        }
        namespaced.append(&mut cluster);
        Ok(namespaced)
    }

    fn find(
        &self,
        namespace: &str,
        wanted: &TemplateRef,
    ) -> Result<AnalysisTemplateSpec, TemplateError> {
        let name = wanted.template_name.clone();
        let (kind, spec) = if wanted.cluster_scope {
            let found = self.cluster.get(&ObjectKey::new("", &name));
            (
                "ClusterAnalysisTemplate",
                found.map(|root| root.parse_spec()),
            )
        } else {
            let found = self.namespaced.get(&ObjectKey::new(namespace, &name));
            ("AnalysisTemplate", found.map(|root| root.parse_spec()))
        };
        match spec {
            None => Err(TemplateError::NotFound { kind, name }),
            Some(Err(error)) => Err(TemplateError::Malformed { kind, name, error }),
            Some(Ok(spec)) => Ok(spec),
        }
    }
}
