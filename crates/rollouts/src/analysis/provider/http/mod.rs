//! HTTP for providers: every call has a deadline and a bounded answer, never reaches the metadata service
//! of the node, and never carries credentials to another host.

mod client;
mod login;
mod reply;
mod sigv4;

pub(super) use self::{
    client::Http,
    login::{Login, headers, secret_header},
    reply::Reply,
    sigv4::Signature,
};

use std::time::Duration;

use reqwest::{Method, Url, header::HeaderMap};

/// A request to a metric server.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Where it goes.
    pub(super) url: Url,
    /// Headers, credentials included.
    pub(super) headers: HeaderMap,
    /// Body; empty for none.
    pub(super) body: Vec<u8>,
    /// How to get credentials for it.
    pub(super) login: Login,
    /// Time for everything, from the login to the last byte of the answer.
    pub(super) deadline: Duration,
    /// Accept any server certificate.
    pub(super) insecure: bool,
}

impl Call {
    /// A `GET` of `url`.
    pub(super) fn get(url: Url, deadline: Duration) -> Self {
        Self {
            method: Method::GET,
            url,
            headers: HeaderMap::new(),
            body: Vec::new(),
            login: Login::default(),
            deadline,
            insecure: false,
        }
    }

    pub(super) fn post_json(url: Url, body: &serde_json::Value, deadline: Duration) -> Self {
        let mut call = Self::get(url, deadline);
        call.method = Method::POST;
        call.body = body.to_string().into_bytes();
        call.headers.insert(
            reqwest::header::CONTENT_TYPE,
            reqwest::header::HeaderValue::from_static("application/json"),
        );
        call
    }
}
