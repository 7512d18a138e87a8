//! `pubSub`: messages of a subscription of Google Cloud Pub/Sub, pulled over its REST API. A message is acknowledged
//! once the bus has stored it.

mod client;
mod credentials;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use jiff::Timestamp;
use reconcile_core::object::FieldError;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::Instant;

use self::{
    client::{Client, Login, Message},
    credentials::{EARLY, LIFETIME},
};
use super::{
    EmitError,
    body::Body,
    http_server::may_ask_again,
    kind::{Input, Source, SourceContext, SourceError, SourceKind},
    registered::Registered,
    service_context::{self, ServiceContext},
};
use crate::api::KeySelector;

/// The kind.
pub(super) const KIND: SourceKind = SourceKind {
    key: "pubSub",
    check: |input| Ok(Arc::new(check(input)?)),
};

/// Messages of one answer.
const MESSAGES: usize = 100;
/// Publishes at the same time.
const AT_ONCE: usize = 32;

const CREDENTIALS: &str = "credentialSecret";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    #[serde(rename = "projectID")]
    project: String,
    topic: String,
    #[serde(rename = "topicProjectID")]
    topic_project: String,
    #[serde(rename = "subscriptionID")]
    subscription: String,
    credential_secret: Option<KeySelector>,
    json_body: bool,
    delete_subscription_on_finish: bool,
}

#[derive(Debug)]
struct Subscription {
    project: Option<String>,
    topic: Option<String>,
    topic_project: Option<String>,
    name: Option<String>,
    credentials: KeySelector,
    json: bool,
    ends_with_event: bool,
}

fn check(input: &Input<'_>) -> Result<Subscription, FieldError> {
    let config: Config = input.decode()?;
    let name = |field: &str, text: String| {
        let known = |c: char| c.is_ascii_alphanumeric() || "-_.~+%:".contains(c);
        match text.as_str() {
            "" => Ok(None),
            text if text.chars().all(known) => Ok(Some(text.to_owned())),
            text => Err(input.wrong(field, format!("{text:?} is not a name"))),
        }
    };
    let (topic, subscription) = (
        name("topic", config.topic)?,
        name("subscriptionID", config.subscription)?,
    );
    if topic.is_none() && subscription.is_none() {
        return Err(input.wrong("subscriptionID", "subscriptionID or topic must be set"));
    }
    let reason = "must be set: an EventSource has no pod whose account could be used";
    Ok(Subscription {
        project: name("projectID", config.project)?,
        topic_project: name("topicProjectID", config.topic_project)?,
        topic,
        name: subscription,
        credentials: config
            .credential_secret
            .ok_or_else(|| input.wrong(CREDENTIALS, reason))?,
        json: config.json_body,
        ends_with_event: config.delete_subscription_on_finish,
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload<'p> {
    id: &'p str,
    body: Body<'p>,
    attributes: &'p Option<BTreeMap<String, String>>,
    publish_time: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

impl Source for Subscription {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        vec![(CREDENTIALS, self.credentials.clone())]
    }

    fn registered(&self) -> Option<&dyn Registered> {
        Some(self)
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        self.follow(context).boxed()
    }
}

impl Subscription {
    /// `projects/P/subscriptions/S`, for a project or one that only the credentials tell.
    fn name(&self, project: &str, uid: &str, event: &str) -> String {
        let made = || {
            let id = service_context::id(uid, event, KIND.key, "subscription");
            format!("argo-events-{id}")
        };
        let name = self.name.clone().unwrap_or_else(made);
        let project = self.project.as_deref().unwrap_or(project);
        format!("projects/{project}/subscriptions/{name}")
    }

    async fn follow(&self, context: &SourceContext) -> Result<(), SourceError> {
        let begin = context.clock.now().as_second();
        let login = Login::new(context, begin)?;
        let topic = self.topic(&login.project);
        let name = self.name(&login.project, &context.uid, context.event());
        let puller = Puller {
            context,
            client: login.of(name),
            json: self.json,
        };
        puller.client.ensure(topic).await?;
        context.report(None);
        while context.clock.now().as_second() < begin + LIFETIME - EARLY {
            puller.take().await?;
        }
        Ok(())
    }

    fn topic(&self, project: &str) -> Option<String> {
        let topic = self.topic.as_ref()?;
        let given = self.topic_project.as_ref().or(self.project.as_ref());
        let project = given.map_or(project, String::as_str);
        Some(format!("projects/{project}/topics/{topic}"))
    }
}

impl Registered for Subscription {
    fn ends_with_event(&self) -> bool {
        self.ends_with_event
    }

    fn names(&self, uid: &str, event: &str) -> BTreeSet<String> {
        [self.name("", uid, event)].into()
    }

    fn remove<'r>(
        &'r self,
        context: &'r ServiceContext,
        kept: &'r BTreeSet<String>,
    ) -> BoxFuture<'r, Result<(), SourceError>> {
        async move {
            let (uid, event) = (&context.uid, context.event());
            if self
                .names(uid, event)
                .iter()
                .all(|name| kept.contains(name))
            {
                return Ok(());
            }
            let login = Login::new(context, context.clock.now().as_second())?;
            let name = self.name(&login.project, uid, event);
            login.of(name).delete().await
        }
        .boxed()
    }
}

/// Brings the messages of a subscription in.
struct Puller<'c> {
    context: &'c SourceContext,
    client: Client<'c>,
    json: bool,
}

impl Puller<'_> {
    /// Pulls messages, publishes them and acknowledges them.
    async fn take(&self) -> Result<(), SourceError> {
        let begun = Instant::now();
        let pulled = self.client.pull(MESSAGES).await?;
        may_ask_again(begun, pulled.received_messages.len()).await;
        let outcomes: Vec<_> = stream::iter(pulled.received_messages)
            .map(|received| async move {
                let outcome = self.publish(&received.message).await;
                (outcome, received.ack_id)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let (mut done, mut failed, mut problem) = (Vec::new(), Vec::new(), Ok(()));
        for (outcome, id) in outcomes {
            match outcome {
                Ok(()) => done.push(id),
                Err(error) => {
                    failed.push(id);
                    problem = Err(error);
                }
            }
        }
        if !done.is_empty() {
            let request = json!({ "ackIds": done });
            self.client.tell("acknowledge", &request).await?;
        }
        if !failed.is_empty() {
            // They come again at once, and not only when their time is up.
            let request = json!({ "ackIds": failed, "ackDeadlineSeconds": 0 });
            self.client.tell("modifyAckDeadline", &request).await?;
        }
        problem
    }

    async fn publish(&self, message: &Message) -> Result<(), SourceError> {
        let data = BASE64_STANDARD.decode(&message.data).unwrap_or_default();
        let Some(body) = Body::bytes(self.context, &data, self.json) else {
            return Ok(());
        };
        let payload = Payload {
            id: &message.id,
            body,
            attributes: &message.attributes,
            publish_time: as_go(&message.publish_time),
            metadata: self.context.metadata(),
        };
        let id = self
            .context
            .id(&format!("{}/{}", self.client.name, message.id));
        match self.context.emit(id, &payload).await {
            Err(EmitError::Bus(error)) => Err(error.into()),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

/// A time as Go writes it.
fn as_go(time: &str) -> String {
    match time.parse::<Timestamp>() {
        Ok(time) => time.strftime("%Y-%m-%d %H:%M:%S%.f +0000 UTC").to_string(),
        Err(_) => time.to_owned(),
    }
}
