//! One HTTP endpoint: from request to payload.
//!
//! The answers are part of the contract with callers: 200 only after the bus stored the event; 400 for a
//! wrong method or body, 401 for a wrong token, 500 when the bus did not take it.

use std::collections::BTreeMap;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use reconcile_core::secret::Secret;
use sha2::{Digest, Sha256};

use super::{
    EmitError, Emitter, Endpoint, EventFilter, ServerCertificate,
    body::CallPayload,
    emitter,
    hook::{BoundHook, Call, Incoming},
    request::{Answer, form_as_json, headers_as_go, is_form},
};

/// Largest body when the manifest gives no limit; upstream's default.
pub const MAX_BODY: usize = 1024 * 1024;

/// An endpoint with everything checked.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Name of the event.
    pub event: String,
    /// Port of the listener.
    pub port: u16,
    /// The path.
    pub endpoint: Endpoint,
    /// The accepted method.
    pub method: Method,
    /// The token that requests must carry.
    pub token: Option<Secret>,
    /// Certificate of the listener; plain HTTP without.
    pub tls: Option<ServerCertificate>,
    /// Largest body in bytes.
    pub max_body: usize,
    /// Copied into each event.
    pub metadata: BTreeMap<String, String>,
    /// Which requests become events.
    pub filter: Option<EventFilter>,
    /// The service that calls it; `None` for the type `webhook`, which anybody may call.
    pub hook: Option<BoundHook>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}:{}", self.method, self.port, self.endpoint.path())
    }
}

impl Webhook {
    /// The key below `spec`.
    pub fn kind(&self) -> &'static str {
        self.hook.as_ref().map_or("webhook", |hook| hook.kind.key)
    }

    /// The field of the manifest that names its port.
    pub fn port_field(&self) -> String {
        let at = if self.hook.is_some() { ".webhook" } else { "" };
        format!("spec.{}.{}{at}.port", self.kind(), self.event)
    }

    /// Serves one request to the endpoint, whose method is right.
    pub async fn serve(&self, request: Request<Body>, emitter: &Emitter) -> Answer {
        let (head, body) = request.into_parts();
        if let Some(token) = &self.token
            && !authorised(&head.headers, token)
        {
            return (StatusCode::UNAUTHORIZED, "token verification failed".into());
        }
        if let Some(hook) = &self.hook {
            return match self.body(body).await {
                Ok(body) => self.receive(hook, &head.headers, &body, emitter).await,
                Err(answer) => {
                    emitter.refused(&self.event);
                    answer
                }
            };
        }
        let body = if head.method == Method::GET {
            form_body(head.uri.query().unwrap_or_default())
        } else {
            match self.body(body).await {
                Ok(body) if is_form(&head.headers) => form_body(&String::from_utf8_lossy(&body)),
                read => read,
            }
        };
        let body = match body {
            Ok(body) => body,
            Err(answer) => {
                emitter.refused(&self.event);
                return answer;
            }
        };
        // As Go, which takes bytes that are not UTF-8 inside of strings.
        let text = String::from_utf8_lossy(&body);
        let Ok(body) = emitter::raw_json(text.as_bytes()) else {
            emitter.refused(&self.event);
            return (
                StatusCode::BAD_REQUEST,
                "the request body is not JSON".into(),
            );
        };
        let payload = emitter::payload(&CallPayload {
            header: headers_as_go(&head.headers),
            body,
            metadata: &self.metadata,
        });
        let incoming = Incoming { id: None, payload };
        match self.publish("webhook", incoming, emitter).await {
            Ok(()) => (StatusCode::OK, "success".into()),
            Err(answer) => answer,
        }
    }

    /// Serves one request of a service.
    async fn receive(
        &self,
        hook: &BoundHook,
        headers: &HeaderMap,
        body: &[u8],
        emitter: &Emitter,
    ) -> Answer {
        let call = Call {
            headers,
            body,
            secrets: &hook.secrets,
            metadata: &self.metadata,
            now: emitter.clock.now(),
            egress: emitter.egress,
        };
        let reaction = match hook.hook.receive(&call).await {
            Ok(reaction) => reaction,
            Err(answer) => {
                emitter.refused(&self.event);
                return answer;
            }
        };
        for incoming in reaction.events {
            let published = self.publish(hook.kind.event_type, incoming, emitter).await;
            if let Err(answer) = published {
                return answer;
            }
        }
        (StatusCode::OK, reaction.answer)
    }

    /// Publishes an event; the error is the answer to the caller.
    async fn publish(
        &self,
        type_: &'static str,
        incoming: Incoming,
        emitter: &Emitter,
    ) -> Result<(), Answer> {
        let id = match incoming.id {
            None => uuid::Uuid::new_v4().simple().to_string(),
            // A service that sends an event twice means one.
            Some(id) => {
                let event = format!("{}/{}/{type_}/{id}", emitter.key, self.event);
                hex::encode(&Sha256::digest(event)[..16])
            }
        };
        let filter = self.filter.as_ref();
        match emitter
            .emit(&self.event, type_, id, incoming.payload, filter)
            .await
        {
            // What a filter refuses is no failure of the caller.
            Ok(_) | Err(EmitError::Filter(_)) => Ok(()),
            Err(error @ EmitError::TooLarge { .. }) => {
                Err((StatusCode::PAYLOAD_TOO_LARGE, error.to_string().into()))
            }
            Err(EmitError::Bus(_)) => Err((
                StatusCode::INTERNAL_SERVER_ERROR,
                "failed to record event".into(),
            )),
        }
    }

    async fn body(&self, body: Body) -> Result<Bytes, Answer> {
        // The listener has a deadline for bodies.
        axum::body::to_bytes(body, self.max_body)
            .await
            .map_err(|_| {
                let message = format!(
                    "the request body cannot be read, or is larger than {} bytes",
                    self.max_body
                );
                (StatusCode::BAD_REQUEST, message.into())
            })
    }
}

/// Whether the request carries the token. An empty token, which anybody could send, is never right.
fn authorised(headers: &HeaderMap, token: &Secret) -> bool {
    let given = headers
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    !token.is_empty() && given.is_some_and(|given| token.is(given))
}

fn form_body(text: &str) -> Result<Bytes, Answer> {
    form_as_json(text).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string().into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_admits_and_an_empty_one_nobody() {
        let mut map = HeaderMap::new();
        map.insert("authorization", "Bearer s3cret".parse().expect("value"));
        assert!(authorised(&map, &Secret::from("s3cret")));
        assert!(!authorised(&map, &Secret::from("s3cre")));
        assert!(!authorised(&map, &Secret::from("s3creT")));
        // An empty token admits nobody.
        map.insert("authorization", "Bearer ".parse().expect("value"));
        assert!(!authorised(&map, &Secret::from("")));
        map.remove("authorization");
        assert!(!authorised(&map, &Secret::from("")));
    }
}
