//! Traffic routers: one file each behind [`Router`], registered once in `registry.rs`.
//!
//! A router reads what its route objects say, writes a weight, says whether the weight is in effect, and
//! gives the objects back. What weight is right is decided in `plan/traffic.rs`.

mod alb;
mod ambassador;
mod apisix;
mod aws;
mod extra;
mod gateway_api;
mod istio;
mod managed;
mod nginx;
mod objects;
mod parse;
mod registry;
mod router;
mod routing;
mod smi;
mod split;
mod state;
mod traefik;

pub(crate) use aws::{Asking, Aws};
pub(super) use aws::{UNVERIFIED, VERIFIED, VERIFY_ERROR};
pub use managed::{HeaderRoute, ManagedRoute, MirrorRoute, RouteStep, StringMatch};
pub(super) use managed::{header_step, mirror_step};
pub use router::{FULL_WEIGHT, RouterError};
pub(crate) use router::{RouteContext, Router};
pub use routing::Routing;
pub(super) use routing::{check, observe};
pub use state::{ExtraWeight, RouteGoal, RouteHashes, RouteState};
