//! What load balancers of AWS do with the traffic, as far as a Rollout needs to know.

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use thiserror::Error;

/// Asks AWS about load balancers.
pub(crate) trait LoadBalancers: fmt::Debug + Send + Sync {
    /// The load balancer with this DNS name; none when AWS has none. An answer may be a few seconds old.
    fn balancer<'a>(
        &'a self,
        host: &'a str,
    ) -> BoxFuture<'a, Result<Option<Arc<LoadBalancer>>, AwsError>>;

    /// What is registered in the target group with this ARN.
    fn targets<'a>(&'a self, group: &'a str) -> BoxFuture<'a, Result<Vec<Target>, AwsError>>;
}

/// A load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LoadBalancer {
    pub(crate) name: String,
    pub(crate) arn: String,
    pub(crate) groups: Vec<TargetGroup>,
    /// The shares of each rule that forwards.
    pub(crate) rules: Vec<Vec<Share>>,
}

/// A target group of a load balancer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TargetGroup {
    pub(crate) name: String,
    pub(crate) arn: String,
    /// Its tags.
    pub(crate) tags: Vec<(String, String)>,
}

/// What a rule forwards to one target group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// ARN of the target group.
    pub(crate) group: String,
    pub(crate) weight: i32,
}

/// What a target group forwards to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// An address, or the id of an instance.
    pub(crate) id: String,
    pub(crate) port: i32,
}

/// AWS gives no answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum AwsError {
    /// The controller has no region or no valid address of the API.
    #[error("{0}")]
    Setup(String),
    /// AWS does not answer, or asks for fewer requests.
    #[error("AWS is unavailable: {0}")]
    Unavailable(String),
    /// AWS refuses the request.
    #[error("AWS refuses the request: {0}")]
    Refused(String),
    /// The answer cannot be read.
    #[error("cannot read the answer of AWS: {0}")]
    Answer(String),
}

impl TargetGroup {
    /// The value of a tag.
    pub(crate) fn tag(&self, key: &str) -> Option<&str> {
        let mut tags = self.tags.iter();
        tags.find_map(|(name, value)| (name == key).then_some(value.as_str()))
    }
}
