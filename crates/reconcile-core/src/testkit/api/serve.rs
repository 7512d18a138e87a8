//! The tower service behind the client.

use std::{convert::Infallible, io};

use axum::body::Body as Answered;
use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use kube::client::Body;
use serde_json::Value;

use super::{FakeApi, Logged};
use crate::testkit::{
    call::Call,
    fault::{self, Effect},
    follow::Follower,
    kinds, verbs,
};

/// Longest body that a test sends; the real server's limit is of the same order.
pub(super) const BODY_LIMIT: usize = 8 << 20;

impl FakeApi {
    pub(super) async fn serve(
        self,
        request: Request<Body>,
    ) -> Result<Response<Answered>, io::Error> {
        let (parts, body) = request.into_parts();
        if let Some(found) = kinds::discovery(&self.inner.lock().store.kinds, parts.uri.path()) {
            return Ok(answer(200, &found));
        }
        let body = axum::body::to_bytes(Answered::new(body), BODY_LIMIT).await;
        let body = body.map_err(io::Error::other)?.to_vec();
        let Some(call) = Call::of(&parts.method, &parts.uri, &parts.headers, body) else {
            let (code, status) = verbs::failure(404, "NotFound", "no such path");
            return Ok(answer(code, &status));
        };
        let mut lost = false;
        let effect = fault::take(&mut self.inner.lock().faults, &call);
        match effect {
            None => {}
            Some(Effect::Delay(by)) => tokio::time::sleep(by).await,
            Some(Effect::LoseAnswer) => lost = true,
            Some(Effect::Disconnect) => {
                self.log(&call, 0);
                return Err(io::Error::new(
                    io::ErrorKind::ConnectionReset,
                    "ordered by the test",
                ));
            }
            Some(Effect::Status(code, reason, message)) => {
                self.log(&call, code);
                let (code, status) = verbs::failure(code, &reason, &message);
                return Ok(answer(code, &status));
            }
        }
        if call.verb == "watch" {
            return Ok(self.watch(&call));
        }
        let (code, value) = {
            // Under one lock: who sees what a request has written finds the request in the log as well.
            let mut inner = self.inner.lock();
            let (code, value) = verbs::handle(&mut inner.store, &call);
            inner.log.push(logged(&call, code));
            (code, value)
        };
        self.beat();
        if lost {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionReset,
                "ordered by the test",
            ));
        }
        Ok(answer(code, &value))
    }

    fn watch(&self, call: &Call) -> Response<Answered> {
        let follower = {
            let inner = self.inner.lock();
            match inner.store.kind(call) {
                Some(_) => Follower::start(&inner.store, call, inner.streaming),
                None => Err(verbs::failure(
                    404,
                    "NotFound",
                    "the server could not find the requested resource",
                )),
            }
        };
        let follower = match follower {
            Ok(follower) => follower,
            Err((code, status)) => {
                self.log(call, code);
                return answer(code, &status);
            }
        };
        self.log(call, 200);
        let pulse = self.pulse.subscribe();
        let epoch = pulse.borrow().1;
        let state = (self.inner.clone(), follower, pulse, epoch, false);
        let lines = stream::unfold(
            state,
            |(inner, mut follower, mut pulse, epoch, ended)| async move {
                if ended {
                    return None;
                }
                loop {
                    if pulse.borrow_and_update().1 != epoch {
                        return None;
                    }
                    let due = {
                        let inner = inner.lock();
                        if inner.held.contains(follower.plural()) {
                            Ok(Vec::new())
                        } else {
                            follower.due(&inner.store)
                        }
                    };
                    let (bytes, ended) = match due {
                        Ok(bytes) => (bytes, false),
                        Err(bytes) => (bytes, true),
                    };
                    if !bytes.is_empty() {
                        let item = Ok::<_, Infallible>(Bytes::from(bytes));
                        return Some((item, (inner, follower, pulse, epoch, ended)));
                    }
                    if pulse.changed().await.is_err() {
                        return None;
                    }
                }
            },
        );
        let mut response = Response::new(Answered::from_stream(lines));
        json_content(&mut response);
        response
    }

    fn log(&self, call: &Call, code: u16) {
        let entry = logged(call, code);
        self.inner.lock().log.push(entry);
    }
}

fn logged(call: &Call, code: u16) -> Logged {
    Logged {
        verb: call.verb,
        resource: call.resource(),
        namespace: call.namespace.clone(),
        name: call.name.clone(),
        query: call.query.clone(),
        body: serde_json::from_slice(&call.body).unwrap_or(Value::Null),
        code,
    }
}

fn answer(code: u16, value: &Value) -> Response<Answered> {
    let mut response = Response::new(Answered::from(value.to_string()));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    json_content(&mut response);
    response
}

fn json_content(response: &mut Response<Answered>) {
    let json = http::HeaderValue::from_static("application/json");
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json);
}
