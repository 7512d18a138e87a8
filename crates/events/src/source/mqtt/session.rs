//! A subscription at a broker.

use std::{collections::BTreeMap, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::FuturesOrdered};
use rumqttc::mqttbytes::v4::{Connect, Packet, PubAck, Publish, Subscribe, Unsubscribe};
use rumqttc::{ConnectReturnCode, QoS, SubscribeReasonCode};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::connection::{Connection, Incoming, Message, MqttError};
use crate::{
    api::KeySelector,
    source::{
        backlog::Reservation,
        body::Body,
        checkpoint::Checkpoint,
        kind::{Source, SourceContext, SourceError},
        rounds::{Position, Rounds},
        server::TcpServer,
    },
};

/// Publishes at the same time.
const AT_ONCE: usize = 32;
/// Seconds; the broker drops a connection that is silent for one and a half times as long.
const KEEP_ALIVE: u16 = 60;
/// A ping is sent this often.
const PING: Duration = Duration::from_secs(30);
/// The broker answers the login within this time.
const DEADLINE: Duration = Duration::from_secs(10);

/// A checked subscription.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) server: TcpServer,
    /// What is subscribed.
    pub(super) filter: String,
    /// The same without keys, for texts.
    pub(super) shown: String,
    /// The client whose session the broker keeps; `None` for a session that ends with its connection.
    pub(super) client: Option<String>,
    /// The body is JSON, not bytes.
    pub(super) json: bool,
    pub(super) username: Option<(&'static str, KeySelector)>,
    pub(super) password: Option<(&'static str, KeySelector)>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    topic: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<u16>,
    body: Body<'p>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Source for Session {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        let login = [&self.username, &self.password].into_iter().flatten();
        self.server
            .secrets()
            .into_iter()
            .chain(login.cloned())
            .collect()
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

impl Session {
    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let mut checkpoint = context.checkpoint().await?;
        let known = match self.client {
            Some(_) => checkpoint.load::<Position>().await?,
            None => None,
        };
        let mut connection = self.connect(context).await?;
        let subscribed = self.subscribe(&mut connection, known.as_ref()).await;
        subscribed.map_err(|error| self.server.failed(&error))?;
        let rounds = Rounds::new(self.filter.clone(), known);
        self.receive(context, connection, rounds, checkpoint).await
    }

    async fn subscribe(
        &self,
        connection: &mut Connection,
        known: Option<&Position>,
    ) -> Result<(), MqttError> {
        // The session remembers subscriptions.
        if let Some(known) = known.filter(|known| known.subscription != self.filter) {
            let mut unsubscribe = Unsubscribe::new(known.subscription.clone());
            unsubscribe.pkid = 2;
            connection.send(&Packet::Unsubscribe(unsubscribe)).await?;
        }
        let quality = match self.client {
            Some(_) => QoS::AtLeastOnce,
            None => QoS::AtMostOnce,
        };
        let mut subscribe = Subscribe::new(self.filter.clone(), quality);
        subscribe.pkid = 1;
        connection.send(&Packet::Subscribe(subscribe)).await
    }

    async fn receive(
        &self,
        context: &SourceContext,
        mut connection: Connection,
        mut rounds: Rounds<u16>,
        mut checkpoint: Checkpoint,
    ) -> Result<(), SourceError> {
        let failed = |error: MqttError| self.server.failed(&error);
        let mut ping = tokio::time::interval(PING);
        let mut publishing = FuturesOrdered::new();
        loop {
            tokio::select! {
                Some(acknowledge) = publishing.next() => {
                    acknowledged(&mut connection, acknowledge).await.map_err(failed)?;
                }
                incoming = connection.receive(), if publishing.len() < AT_ONCE => {
                    let Some(message) = self.message(context, incoming.map_err(failed)?)? else {
                        continue;
                    };
                    let (id, repeated) = (message.id(), message.is_repeated());
                    // Messages of QoS 0 have no identifier, and never come again.
                    if id != 0 && rounds.begins(&id, repeated) {
                        // Messages of the last round are settled first.
                        while let Some(acknowledge) = publishing.next().await {
                            acknowledged(&mut connection, acknowledge).await.map_err(failed)?;
                        }
                        checkpoint.save(rounds.begin()).await?;
                    }
                    let round = if id == 0 { 0 } else { rounds.round(id, repeated) };
                    let room = loop {
                        tokio::select! {
                            room = context.share.wait(message.held()) => break room,
                            Some(acknowledge) = publishing.next() => {
                                acknowledged(&mut connection, acknowledge).await.map_err(failed)?;
                            }
                            _ = ping.tick() => connection.ping().await.map_err(failed)?,
                        }
                    };
                    publishing.push_back(self.publish(context, message, round, room));
                }
                _ = ping.tick() => connection.ping().await.map_err(failed)?,
            }
        }
    }

    /// The message that came in, if this is one.
    fn message(
        &self,
        context: &SourceContext,
        incoming: Incoming,
    ) -> Result<Option<Message>, SourceError> {
        match incoming {
            Incoming::Message(message) => Ok(Some(message)),
            Incoming::Subscribed(SubscribeReasonCode::Failure) => {
                let reason = format!("the broker refuses the subscription to {:?}", self.shown);
                Err(self.server.failed(&reason))
            }
            Incoming::Subscribed(_) => {
                context.report(None);
                Ok(None)
            }
            Incoming::Other => Ok(None),
        }
    }

    /// A connection that is logged in.
    async fn connect(&self, context: &SourceContext) -> Result<Connection, SourceError> {
        let stream = self
            .server
            .connect(context.egress, |field| context.secret(field).cloned())
            .await?;
        let mut connection = Connection::new(stream, context.largest_message());
        let login = self.login(context);
        let login = async {
            connection.send(&Packet::Connect(login)).await?;
            connection.logged_in().await
        };
        let answer = tokio::time::timeout(DEADLINE, login).await;
        let answer = answer.map_err(|_| self.server.failed("no answer in time"))?;
        match answer.map_err(|error| self.server.failed(&error))? {
            ConnectReturnCode::Success => Ok(connection),
            refused => {
                let reason = format!("the broker refuses the connection: {refused:?}");
                Err(self.server.failed(&reason))
            }
        }
    }

    fn login(&self, context: &SourceContext) -> Connect {
        let value = |login: &Option<(&'static str, KeySelector)>| {
            let (field, _) = login.as_ref()?;
            Some(context.secret(field)?.expose().to_owned())
        };
        let client = self.client.clone();
        let mut login =
            Connect::new(client.unwrap_or_else(|| uuid::Uuid::new_v4().simple().to_string()));
        login.keep_alive = KEEP_ALIVE;
        login.clean_session = self.client.is_none();
        if let Some(username) = value(&self.username) {
            login.set_login(username, value(&self.password).unwrap_or_default());
        }
        login
    }

    /// Publishes a message, however long that takes; returns what is to be acknowledged.
    async fn publish(
        &self,
        context: &SourceContext,
        message: Message,
        round: u64,
        _room: Reservation,
    ) -> Option<u16> {
        let (id, acknowledge) = (message.id(), Some(message.id()).filter(|id| *id != 0));
        let message = match message {
            Message::Whole(message) => message,
            Message::TooLarge { size, .. } => {
                context.too_large(size);
                return acknowledge;
            }
        };
        if let Some(body) = Body::bytes(context, &message.payload, self.json) {
            let payload = Payload {
                topic: &message.topic,
                message_id: self.client.is_some().then_some(id),
                body,
                metadata: context.metadata(),
            };
            let event = context.id(&position(&self.server.address, &message, round));
            context.emit_for_sure(event, &payload).await;
        }
        acknowledge
    }
}

async fn acknowledged(
    connection: &mut Connection,
    acknowledge: Option<u16>,
) -> Result<(), MqttError> {
    match acknowledge {
        Some(id) => connection.send(&Packet::PubAck(PubAck::new(id))).await,
        None => Ok(()),
    }
}

/// What is the same when the broker sends a message again, and for no other message.
fn position(server: &str, message: &Publish, round: u64) -> String {
    if message.pkid == 0 {
        // Never sent again.
        return uuid::Uuid::new_v4().to_string();
    }
    let content = hex::encode(Sha256::digest(&message.payload));
    format!(
        "{server}/{round}/{}/{}/{content}",
        message.pkid, message.topic
    )
}
