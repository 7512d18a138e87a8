//! `storageGrid`: notifications of buckets of `NetApp` `StorageGRID`, in the form of SNS's Publish.

use std::{collections::BTreeMap, sync::Arc};

use futures::{FutureExt, future::BoxFuture};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    call::{Call, Reaction, malformed},
    kind::{Hook, HookKind},
    registration,
};
use crate::source::{emitter, request::Answer};

pub(super) const KIND: HookKind = HookKind {
    key: "storageGrid",
    event_type: "storagegrid",
    has_expression: false,
    registration: Some(&registration::STORAGE_GRID),
    check: |input| Ok(Arc::new(input.decode::<StorageGrid>()?)),
};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StorageGrid {
    filter: KeyFilter,
}

/// Which objects are meant.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct KeyFilter {
    prefix: String,
    suffix: String,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Notification<'p> {
    action: &'p str,
    message: &'p RawValue,
    topic_arn: &'p str,
    version: &'p str,
}

#[derive(Serialize)]
struct Payload<'p> {
    notification: Notification<'p>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'p BTreeMap<String, String>,
}

/// The part of a message that decides about it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Message {
    #[serde(rename = "Records")]
    records: Vec<Record>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Record {
    s3: S3,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct S3 {
    object: Object,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    key: String,
}

impl Hook for StorageGrid {
    fn receive<'r>(&'r self, call: &'r Call<'r>) -> BoxFuture<'r, Result<Reaction, Answer>> {
        std::future::ready(self.read(call)).boxed()
    }
}

impl StorageGrid {
    fn read(&self, call: &Call<'_>) -> Result<Reaction, Answer> {
        let fields = call.fields()?;
        let field = |name: &str| {
            let first = fields.get(name).and_then(|values| values.first());
            first.map(String::as_str).unwrap_or_default()
        };
        if field("Action").is_empty() {
            return Err(malformed("the body is no notification: it has no Action"));
        }
        let (Ok(message), Ok(known)) = (
            emitter::raw_json(field("Message").as_bytes()),
            serde_json::from_str::<Message>(field("Message")),
        ) else {
            // The text with which StorageGRID tests an endpoint.
            return Ok(Reaction::answer(published()));
        };
        if !self.wants(&known) {
            return Ok(Reaction::answer(published()));
        }
        let payload = emitter::payload(&Payload {
            notification: Notification {
                action: field("Action"),
                message,
                topic_arn: field("TopicArn"),
                version: field("Version"),
            },
            metadata: call.metadata,
        });
        Ok(Reaction {
            answer: published().into(),
            ..Reaction::event(None, payload)
        })
    }

    /// As upstream, by the first record.
    fn wants(&self, message: &Message) -> bool {
        let filter = &self.filter;
        if filter.prefix.is_empty() && filter.suffix.is_empty() {
            return true;
        }
        message.records.first().is_some_and(|record| {
            let key = &record.s3.object.key;
            key.starts_with(&filter.prefix) && key.ends_with(&filter.suffix)
        })
    }
}

/// The answer of SNS, without which `StorageGRID` sends the notification again.
fn published() -> String {
    let id = || uuid::Uuid::new_v4();
    format!(
        "<PublishResponse xmlns=\"http://argoevents-sns-server/\"><PublishResult><MessageId>{}</MessageId></PublishResult>\
         <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></PublishResponse>\n",
        id(),
        id()
    )
}
