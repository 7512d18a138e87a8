//! `resource`: changes of Kubernetes objects of any kind.
//!
//! The version up to which changes are stored is kept on the bus, so a successor resumes there: nothing comes in twice,
//! and nothing is missed while the API server has its history. When the history is compacted, objects that changed in
//! between are found by their versions; those that were deleted in between are not.

mod filter;
mod follow;
mod position;

use std::{fmt, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use kube::{api::ApiResource, core::GroupVersionKind};
use reconcile_core::{apply::resource_of, object::FieldError};
use serde::{Deserialize, Serialize};

use super::kind::{Input, Source, SourceContext, SourceError, SourceKind};

use filter::Filter;

pub(super) const KIND: SourceKind = SourceKind {
    key: "resource",
    check: |input| Ok(Arc::new(check(input)?)),
};

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    namespace: String,
    group: String,
    version: String,
    resource: String,
    event_types: Vec<Change>,
    filter: filter::Config,
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Change {
    Add,
    Update,
    Delete,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "ADD",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        })
    }
}

/// A checked watch.
#[derive(Debug)]
struct Resource {
    /// All namespaces when absent.
    namespace: Option<String>,
    watched: ApiResource,
    changes: Vec<Change>,
    /// A label selector.
    labels: String,
    filter: Filter,
}

fn check(input: &Input<'_>) -> Result<Resource, FieldError> {
    let config: Config = input.decode()?;
    for (field, text) in [("version", &config.version), ("resource", &config.resource)] {
        if text.is_empty() || text.contains('/') {
            return Err(input.wrong(field, "must name one, for example v1 and pods"));
        }
    }
    if config.event_types.is_empty() {
        return Err(input.wrong("eventTypes", "must hold ADD, UPDATE or DELETE"));
    }
    let (filter, labels) = Filter::check(input, config.filter)?;
    // Requests need the plural only.
    let kind = GroupVersionKind::gvk(&config.group, &config.version, "");
    Ok(Resource {
        namespace: Some(config.namespace).filter(|namespace| !namespace.is_empty()),
        watched: resource_of(&kind, &config.resource),
        changes: config.event_types,
        labels,
        filter,
    })
}

impl Source for Resource {
    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        async move {
            let outcome = self.follow(context).await;
            // Its token may be why.
            context.forget_client().await;
            outcome
        }
        .boxed()
    }
}
