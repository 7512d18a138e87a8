//! The routers that this version has.

use super::{
    alb, ambassador, apisix, gateway_api, istio, nginx, router::Registration, smi, traefik,
};

/// All routers that this version has.
pub(super) const ROUTERS: &[Registration] = &[
    nginx::REGISTRATION,
    gateway_api::REGISTRATION,
    istio::REGISTRATION,
    alb::REGISTRATION,
    traefik::REGISTRATION,
    apisix::REGISTRATION,
    smi::REGISTRATION,
    ambassador::REGISTRATION,
];
