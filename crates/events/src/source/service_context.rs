//! What a source works with at the service behind its event, also when its task does not run any more.

use reconcile_core::{
    clock::Clock, credentials::redact_urls, egress::EgressPolicy, object::ObjectKey,
    redaction::Redactor, secret::Secret,
};
use sha2::{Digest, Sha256};

use super::{
    backlog::Share,
    kind::{Source, SourceLimits, TaskEvent},
    tokens::RecentTokens,
};
use crate::aws::AwsSigners;

/// Secrets, tokens and bounds of the requests of one event.
pub struct ServiceContext {
    /// The EventSource.
    pub key: ObjectKey,
    /// Its uid, part of deterministic event ids.
    pub uid: String,
    /// Which addresses it may call.
    pub egress: EgressPolicy,
    /// Room for answers, and for messages that wait for the bus.
    pub share: Share,
    /// The clock.
    pub clock: Clock,
    /// Signers of requests to AWS.
    pub signers: AwsSigners,
    pub(super) task: TaskEvent,
    redactor: Redactor,
    tokens: RecentTokens,
}

impl ServiceContext {
    /// That of an event whose Secrets are read.
    pub fn new(
        task: &TaskEvent,
        (key, uid): (&ObjectKey, &str),
        clock: Clock,
        limits: &SourceLimits,
    ) -> Self {
        Self {
            key: key.clone(),
            uid: uid.to_owned(),
            egress: limits.egress,
            share: limits.backlog.share(),
            clock,
            signers: limits.signers.clone(),
            task: task.clone(),
            redactor: Redactor::of(&task.secrets),
            tokens: RecentTokens::default(),
        }
    }

    /// Name of the event.
    pub fn event(&self) -> &str {
        &self.task.event
    }

    /// The source that runs.
    pub fn source(&self) -> &dyn Source {
        self.task.source.as_ref()
    }

    /// Values of what [`Source::secrets`] names.
    pub fn secrets(&self) -> &[Secret] {
        &self.task.secrets
    }

    /// The value of the Secret that a field names; `None` where the manifest has no such field.
    pub fn secret(&self, field: &str) -> Option<&Secret> {
        let fields = self.task.source.secrets();
        let at = fields.iter().position(|(name, _)| *name == field)?;
        self.task.secrets.get(at)
    }

    /// The id of the event that `position` names at its server: the same each time it comes in.
    pub fn id(&self, position: &str) -> String {
        id(&self.uid, self.event(), self.task.kind.key, position)
    }

    /// The beginning of a text of the server on one line, without secrets and credentials.
    pub fn excerpt(&self, text: &str) -> String {
        let text = self.tokens.redact(text.to_owned());
        redact_urls(&self.redactor.excerpt(text.as_bytes()))
    }

    /// Hides a token that was got with the secrets of this source, from now on.
    pub fn hide(&self, token: &str) {
        self.tokens.add(token);
    }

    /// A text of the server without the secrets of this source, which it may repeat, and without credentials in URLs.
    pub fn redact(&self, text: String) -> String {
        redact_urls(&self.redactor.redact(self.tokens.redact(text)))
    }
}

/// See [`ServiceContext::id`].
pub(super) fn id(uid: &str, event: &str, kind: &str, position: &str) -> String {
    hex::encode(&Sha256::digest(format!("{uid}/{event}/{kind}/{position}"))[..16])
}
