//! Subscriptions of a topic of Amazon SNS. Upstream ends them with its event, whatever the manifest says; so does this.

use std::{collections::BTreeSet, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Method, header};
use quick_xml::de;
use reconcile_core::{object::FieldError, secret::Secret};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Registering, RegistrationKind, Target, keep, kind,
    list::PAGES,
    session::{DEADLINE, FORM, form},
};
use crate::{
    api::KeySelector,
    aws::{self, AwsSigner, Keys, Service},
    http_client::Call,
    source::{
        hook::sns::Topic,
        http_server::HttpServer,
        kind::{Input, Source, SourceContext, SourceError},
        registered::Registered,
        service_context::ServiceContext,
    },
    tls::TlsSettings,
};

/// The kind.
pub(in crate::source::hook) static KIND: RegistrationKind = kind(
    "sns",
    |input| Ok(Arc::new(Sns::check(input)?)),
    &[ACCESS, SECRET, "roleARN"],
);

const ACCESS: &str = "accessKey";
const SECRET: &str = "secretKey";
/// Largest answer of SNS that is read: a page of a hundred subscriptions.
const MOST_ANSWER: usize = 1 << 20;
/// What the version of the protocol is called.
const VERSION: &str = "2010-03-31";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Config {
    access_key: Option<KeySelector>,
    secret_key: Option<KeySelector>,
    #[serde(rename = "roleARN")]
    role_arn: String,
}

#[derive(Debug)]
struct Sns {
    target: Target,
    topic: Topic,
    role: String,
    secrets: Vec<(&'static str, KeySelector)>,
}

/// A page of the subscriptions of a topic.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListAnswer {
    #[serde(rename = "ListSubscriptionsByTopicResult")]
    result: List,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct List {
    subscriptions: Members,
    next_token: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Members {
    #[serde(rename = "member")]
    members: Vec<Subscription>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Subscription {
    /// No ARN while it is not confirmed.
    subscription_arn: String,
    endpoint: String,
}

/// An answer that nothing is read of.
#[derive(Deserialize)]
struct Anything {}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Refusal {
    error: RefusalReason,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct RefusalReason {
    code: String,
    message: String,
}

impl Sns {
    fn check(input: &Input<'_>) -> Result<Self, FieldError> {
        let config: Config = input.decode()?;
        let mut secrets = Vec::new();
        for (field, key) in [(ACCESS, config.access_key), (SECRET, config.secret_key)] {
            let reason = "must be set: an EventSource has no pod whose role could be used";
            secrets.push((field, key.ok_or_else(|| input.wrong(field, reason))?));
        }
        let role = aws::checked_role(&config.role_arn);
        Ok(Self {
            target: Target {
                ends_with_event: true,
                ..Target::check(input)?
            },
            topic: Topic::check(input)?,
            role: role.map_err(|reason| input.wrong("roleARN", reason))?,
            secrets,
        })
    }

    fn client<'c>(&'c self, context: &'c ServiceContext) -> Result<Client<'c>, SourceError> {
        let secret = |field| context.secret(field).map_or("", Secret::expose);
        let keys = Keys {
            access: secret(ACCESS),
            secret: secret(SECRET),
            session: None,
        };
        let service = Service {
            name: "sns",
            region: &self.topic.region,
        };
        Ok(Client {
            topic: &self.topic,
            context,
            server: HttpServer::new(&self.topic.server, context, &TlsSettings::default())?,
            signer: context.signers.signer(&service, &keys, &self.role),
        })
    }

    async fn subscribe(&self, context: &ServiceContext) -> Result<(), SourceError> {
        let protocol = self.target.url.split(':').next().unwrap_or_default();
        let fields = [
            ("Protocol", protocol),
            ("Endpoint", self.target.url.as_str()),
            ("TopicArn", self.topic.arn.as_str()),
        ];
        // SNS keeps one that is there. One that is not confirmed is asked to confirm again.
        let client = self.client(context)?;
        client.ask::<Anything>("Subscribe", &fields).await.map(drop)
    }

    async fn unsubscribe(&self, context: &ServiceContext) -> Result<(), SourceError> {
        let client = self.client(context)?;
        let mut next = String::new();
        for _ in 0..PAGES {
            let page = client.list(&next).await?;
            for one in page.subscriptions.members {
                // SNS forgets those that nobody confirms by itself.
                if one.endpoint == self.target.url && one.subscription_arn.starts_with("arn:") {
                    let fields = [("SubscriptionArn", one.subscription_arn.as_str())];
                    client.ask::<Anything>("Unsubscribe", &fields).await?;
                    tracing::info!(eventsource = %context.key, event = context.event(), topic = self.topic.arn, "subscription removed");
                }
            }
            next = page.next_token;
            if next.is_empty() {
                break;
            }
        }
        Ok(())
    }
}

/// The server of a topic.
struct Client<'c> {
    topic: &'c Topic,
    context: &'c ServiceContext,
    server: HttpServer,
    signer: Arc<AwsSigner>,
}

impl Client<'_> {
    async fn list(&self, next: &str) -> Result<List, SourceError> {
        let mut fields = vec![("TopicArn", self.topic.arn.as_str())];
        if !next.is_empty() {
            fields.push(("NextToken", next));
        }
        let answer: ListAnswer = self.ask("ListSubscriptionsByTopic", &fields).await?;
        Ok(answer.result)
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Result<T, SourceError> {
        let named = [("Action", action), ("Version", VERSION)];
        let mut call = Call {
            method: Method::POST,
            url: self.topic.server.clone(),
            headers: HeaderMap::from_iter([(header::CONTENT_TYPE, FORM)]),
            body: Some(form(&[named.as_slice(), fields].concat())),
            timeout: DEADLINE,
        };
        let signed = self.signer.sign(&mut call).await;
        signed.map_err(|error| self.server.failed(&error))?;
        let answer = self.server.send(call).await?;
        let status = answer.status();
        let held = self.server.body(self.context, answer, MOST_ANSWER).await?;
        let text = String::from_utf8_lossy(&held.bytes);
        if !status.is_success() {
            let Refusal { error } = de::from_str(&text).unwrap_or_default();
            let reason = format!(
                "{action} answered {} {}: {}",
                status.as_u16(),
                error.code,
                error.message
            );
            return Err(self.server.failed(&self.context.excerpt(&reason)));
        }
        let parsed = de::from_str(&text);
        parsed.map_err(|_| {
            self.server
                .failed(&format!("{action} answered no XML of SNS"))
        })
    }
}

impl Source for Sns {
    fn secrets(&self) -> Vec<(&'static str, KeySelector)> {
        self.secrets.clone()
    }

    fn registered(&self) -> Option<&dyn Registered> {
        Some(self)
    }

    fn run<'s>(&'s self, context: &'s SourceContext) -> BoxFuture<'s, Result<(), SourceError>> {
        keep(self, context).boxed()
    }
}

impl Registering for Sns {
    fn target(&self) -> &Target {
        &self.target
    }

    fn places(&self) -> BTreeSet<String> {
        [self.topic.arn.clone()].into()
    }

    fn register<'r>(
        &'r self,
        context: &'r ServiceContext,
    ) -> BoxFuture<'r, Result<(), SourceError>> {
        self.subscribe(context).boxed()
    }

    fn unregister<'r>(
        &'r self,
        context: &'r ServiceContext,
        removes: &'r (dyn Fn(&str) -> bool + Sync),
    ) -> BoxFuture<'r, Result<(), SourceError>> {
        async move {
            if removes(&self.topic.arn) {
                self.unsubscribe(context).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
