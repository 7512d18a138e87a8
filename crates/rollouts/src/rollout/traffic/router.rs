//! What a traffic router is, what it can do, and what it works with.

use std::{fmt, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Client;
use reconcile_core::{
    apply::ApplyError,
    error::{Classify, ErrorClass},
    object::{FieldError, ObjectKey},
};
use serde_json::Value;
use thiserror::Error;

use super::aws::Asking;
use super::state::{RouteGoal, RouteState};

/// All traffic, for routers that know no other total.
pub const FULL_WEIGHT: i32 = 100;

/// How a router takes part.
pub(in crate::rollout) struct Registration {
    /// Its key under `trafficRouting`, or under `trafficRouting.plugins`.
    pub(super) name: &'static str,
    /// The key is below `plugins`.
    pub(super) plugin: bool,
    /// What it can do.
    pub(super) can: Capabilities,
    /// Makes the router of a Rollout from its configuration.
    pub(super) open: OpenRouter,
}

/// Makes a router from the place and the value of its configuration.
pub(super) type OpenRouter = fn(&str, &Value) -> Result<Arc<dyn Router>, FieldError>;

/// What a router can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::rollout) struct Capabilities {
    /// It takes another total than 100.
    pub(super) max_weight: bool,
    /// It routes by header.
    pub(super) headers: HeaderMatching,
    /// It mirrors requests.
    pub(super) mirror: bool,
    /// Both Services may swap roles.
    pub(super) ping_pong: bool,
    /// Experiments may have a share of the traffic.
    pub(super) extra: ExtraWeights,
}

impl Capabilities {
    /// Weights of a total of 100, and nothing beside.
    pub(super) const WEIGHTS: Self = Self {
        max_weight: false,
        headers: HeaderMatching::None,
        mirror: false,
        ping_pong: false,
        extra: ExtraWeights::None,
    };

    /// What two routers can do together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            max_weight: self.max_weight && other.max_weight,
            headers: self.headers.min(other.headers),
            mirror: self.mirror && other.mirror,
            ping_pong: self.ping_pong && other.ping_pong,
            extra: self.extra.min(other.extra),
        }
    }
}

/// Whether a router can send a share of the traffic to Experiments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ExtraWeights {
    /// It splits between two versions only.
    #[default]
    None,
    /// Any number of them.
    Any,
}

/// How a router can match a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum HeaderMatching {
    /// Not at all.
    #[default]
    None,
    /// By the whole value only.
    Exact,
    /// By the whole value, how it begins, or a regular expression.
    Any,
}

/// What a router works with.
pub(crate) struct RouteContext<'a> {
    pub(crate) client: &'a Client,
    pub(crate) rollout: ObjectKey,
    /// The owner reference of the Rollout, for objects that a router creates.
    pub(crate) owner: OwnerReference,
    /// Service of the new version.
    pub(crate) canary: &'a str,
    /// Service of the stable version.
    pub(crate) stable: &'a str,
    /// The total of all weights.
    pub(crate) max_weight: i32,
    /// Names that header and mirror routes may have, the one that is tried first in front.
    pub(crate) managed: &'a [String],
    /// Services of all Experiments of the Rollout.
    pub(crate) experiments: &'a [String],
    /// What AWS is asked, where the controller may ask it.
    pub(crate) aws: Option<Asking<'a>>,
}

/// A router of one Rollout.
pub(crate) trait Router: fmt::Debug + Send + Sync {
    /// Kind and name of each route object, to tell whether two configurations share one.
    fn routes(&self) -> Vec<String>;

    /// The canary and the stable version need Services; false when the router tells them apart by subsets.
    fn needs_services(&self) -> bool {
        true
    }

    /// Whether the configuration allows that both Services swap roles.
    fn check_ping_pong(&self) -> Result<(), FieldError> {
        Ok(())
    }

    /// Reads what the route objects say. An object that is missing is an error of the manifest.
    fn observe<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<RouteState, RouterError>>;

    /// Writes what `goal` says; objects that say so already are left alone.
    fn apply<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
        goal: &'a RouteGoal,
    ) -> BoxFuture<'a, Result<(), RouterError>>;

    /// Gives the objects back: all traffic to the stable version, and nothing of the Rollout left in them.
    fn clear<'a>(
        &'a self,
        context: &'a RouteContext<'_>,
    ) -> BoxFuture<'a, Result<(), RouterError>> {
        async move { self.apply(context, &RouteGoal::default()).await }.boxed()
    }
}

/// A router cannot do what it should.
#[derive(Debug, Error)]
pub enum RouterError {
    /// A route object is missing or does not fit the Rollout.
    #[error("{0}")]
    Invalid(#[from] FieldError),
    /// The API server refused or did not answer.
    #[error(transparent)]
    Api(Box<ApplyError>),
}

impl From<ApplyError> for RouterError {
    fn from(error: ApplyError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl Classify for RouterError {
    fn class(&self) -> ErrorClass {
        match self {
            Self::Invalid(_) => ErrorClass::Invalid,
            Self::Api(error) => error.class(),
        }
    }
}
