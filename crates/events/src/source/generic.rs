//! `generic`: events of a service of the user's own, which sends them as a stream of gRPC. The protocol has no
//! acknowledgement: what the service has sent and this process has not read when it ends is the service's to send again.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use reconcile_core::object::FieldError;
use serde::{Deserialize, Serialize};
use tonic::{Code, Status, Streaming, metadata::AsciiMetadataValue};

use super::{
    backlog::Reservation,
    body::Body,
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
    server::ServerTls,
};
use crate::{
    api::KeySelector,
    grpc::{GrpcServer, words},
};

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "generic",
    check: |input| Ok(Arc::new(check(input)?)),
};

const METHOD: &str = "/generic.Eventing/StartEventSource";
const AUTH: &str = "authSecret";
/// A service that has no events begins its answer with the first one. One that refuses does so within this time.
const REFUSAL: Duration = Duration::from_secs(5);
/// Publishes at the same time.
const AT_ONCE: usize = 64;

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Settings {
    url: String,
    config: String,
    insecure: bool,
    json_body: bool,
    auth_secret: Option<KeySelector>,
}

#[derive(Debug)]
struct Generic {
    server: GrpcServer,
    config: String,
    auth: Option<KeySelector>,
    json: bool,
}

fn check(input: &Input<'_>) -> Result<Generic, FieldError> {
    let settings: Settings = input.decode()?;
    let tls = (!settings.insecure).then(|| ServerTls::trusting(None));
    Ok(Generic {
        server: GrpcServer::check(input, ("url", &settings.url), tls, None)?,
        config: settings.config,
        auth: settings.auth_secret,
        json: settings.json_body,
    })
}

/// Asks for the events of an entry.
#[derive(Clone, PartialEq, prost::Message)]
struct StartRequest {
    /// Name of the event.
    #[prost(string, tag = "1")]
    name: String,
    /// `config` of the entry.
    #[prost(bytes = "bytes", tag = "2")]
    config: Bytes,
}

/// An event of the service.
#[derive(Clone, PartialEq, prost::Message)]
struct Sent {
    /// Without use.
    #[prost(string, tag = "1")]
    name: String,
    /// The body.
    #[prost(bytes = "bytes", tag = "2")]
    payload: Bytes,
}

#[derive(Serialize)]
struct Payload<'p> {
    body: Body<'p>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Source for Generic {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        let auth = self.auth.clone().map(|auth| (AUTH, auth));
        auth.into_iter().collect()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

impl Generic {
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let client = self.server.connect(context.egress, |_| None).await?;
        let mut request = tonic::Request::new(StartRequest {
            name: context.event().to_owned(),
            config: self.config.clone().into(),
        });
        if let Some(token) = context.secret(AUTH) {
            let value = AsciiMetadataValue::try_from(format!("Bearer {}", token.expose()));
            let mut value =
                value.map_err(|_| self.server.server.failed("authSecret is not a token"))?;
            value.set_sensitive(true);
            request.metadata_mut().insert("authorization", value);
        }
        let failed = |status: Status| self.refused(context, &status);
        let mut opening = std::pin::pin!(client.stream::<_, Sent>(METHOD, request));
        let refused = tokio::time::timeout(REFUSAL, &mut opening).await;
        let opened = if let Ok(opened) = refused {
            opened
        } else {
            context.report(None);
            opening.await
        };
        let sent = opened.map_err(failed)?;
        context.report(None);
        let share = context.share.clone();
        let messages = stream::unfold(Some((sent, share)), |reading| async {
            let (mut sent, share) = reading?;
            match next(&mut sent).await {
                // What follows is not read before there is room for this one; others are published meanwhile.
                Ok(message) => {
                    let room = share.wait(message.payload.len()).await;
                    Some((Ok((message, room)), Some((sent, share))))
                }
                Err(status) => Some((Err(status), None)),
            }
        });
        let taken = messages.map(|message| async move {
            let (message, room) = message?;
            self.pass_on(context, message, room).await;
            Ok(())
        });
        let mut taken = std::pin::pin!(taken.buffered(AT_ONCE));
        while let Some(outcome) = taken.next().await {
            outcome.map_err(failed)?;
        }
        Ok(())
    }

    /// Publishes a message, however long that takes.
    async fn pass_on(&self, context: &SourceContext, message: Sent, _room: Reservation) {
        let Some(body) = Body::bytes(context, &message.payload, self.json) else {
            return;
        };
        let payload = Payload {
            body,
            metadata: context.metadata(),
        };
        let id = uuid::Uuid::new_v4().simple().to_string();
        context.emit_for_sure(id, &payload).await;
    }

    fn refused(&self, context: &SourceContext, status: &Status) -> SourceError {
        if status.code() == Code::OutOfRange {
            // The message ends the stream: gRPC cannot skip it.
            context.refused();
        }
        self.server.server.failed(&context.excerpt(&words(status)))
    }
}

/// The next message. The end of the stream is an error: a source has no end.
async fn next(sent: &mut Streaming<Sent>) -> Result<Sent, Status> {
    let message = sent.message().await?;
    message.ok_or_else(|| Status::unavailable("the service ended the stream"))
}
