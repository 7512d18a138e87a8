//! Settings of a connection, checked.

use std::collections::{BTreeMap, BTreeSet};

use reconcile_core::{
    egress::EgressPolicy, kube_types::GoDuration, redaction::Redactor, secret::Secret,
};
use serde_json::Value;

use crate::tls::TlsSettings;

/// Everything needed to connect. Two equal values mean the same connection.
#[derive(Clone, PartialEq, Eq)]
pub struct BusConfig {
    /// Server URLs, without credentials.
    pub urls: Vec<String>,
    /// Who we are.
    pub auth: Auth,
    /// TLS; `None` uses it when the server asks for it.
    pub tls: Option<TlsSettings>,
    /// Used when the stream is created.
    pub stream: StreamSettings,
    /// Which addresses it may have.
    pub egress: EgressPolicy,
}

impl std::fmt::Debug for BusConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the credentials.
        f.debug_struct("BusConfig")
            .field("urls", &self.urls)
            .finish_non_exhaustive()
    }
}

/// Credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// None.
    None,
    /// User and password.
    Basic {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// A token.
    Token(Secret),
    /// The seed of a user's key, with which the server's challenge is signed.
    Nkey(Secret),
    /// The text of a credentials file: a signed user, and the seed of its key.
    Credentials(Secret),
}

impl Auth {
    /// Hides these credentials in what a server says.
    pub(super) fn redactor(&self) -> Redactor {
        let redactor = Redactor::default();
        match self {
            Self::None => {}
            Self::Basic { username, password } => redactor.add_login(username, password.expose()),
            Self::Token(secret) | Self::Nkey(secret) => redactor.add(secret.expose()),
            Self::Credentials(file) => {
                let lines = file.expose().lines().map(str::trim);
                for line in lines.filter(|line| !line.is_empty() && !line.contains(' ')) {
                    redactor.add(line);
                }
            }
        }
        redactor
    }
}

/// Settings of the stream that this program makes use of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamSettings {
    /// Most messages; -1 for no limit.
    pub max_msgs: i64,
    /// Most bytes; -1 for no limit.
    pub max_bytes: i64,
    /// Age after which messages are dropped, ns; 0 for never.
    pub max_age: i64,
    /// Copies of each message.
    pub replicas: usize,
    /// Window in which a message id is remembered, ns.
    pub duplicates: i64,
    /// 0 limits, 1 interest, 2 work queue.
    pub retention: i64,
    /// 0 drops old messages when full, 1 refuses new ones.
    pub discard: i64,
    /// The settings that the manifest gives, in lower case. Others are not changed on a stream that exists.
    pub given: BTreeSet<String>,
}

/// Upstream's controller default: a week.
const MAX_AGE_SECONDS: i64 = 7 * 24 * 3600;
/// Upstream's controller default: five minutes.
const DUPLICATES_SECONDS: i64 = 300;

impl Default for StreamSettings {
    fn default() -> Self {
        Self {
            max_msgs: -1,
            max_bytes: -1,
            max_age: GoDuration::from_secs(MAX_AGE_SECONDS).as_nanos(),
            replicas: 1,
            duplicates: GoDuration::from_secs(DUPLICATES_SECONDS).as_nanos(),
            retention: 0,
            discard: 0,
            given: BTreeSet::new(),
        }
    }
}

impl StreamSettings {
    /// Reads `streamConfig`, already parsed. Upstream writes the keys in lower case too, so their case
    /// does not matter.
    pub fn parse(config: &Value) -> Result<Self, String> {
        let mut settings = Self::default();
        let Value::Object(members) = config else {
            return if config.is_null() {
                Ok(settings)
            } else {
                Err("must be a map in YAML".into())
            };
        };
        let members: BTreeMap<String, &Value> = members
            .iter()
            .map(|(key, value)| (key.to_lowercase(), value))
            .collect();
        settings.given = members.keys().cloned().collect();
        let number = |key: &str, default: i64| match members.get(key) {
            None => Ok(default),
            Some(value) => integer(value).ok_or_else(|| format!("{key}: must be a whole number")),
        };
        let span = |key: &str, default: i64| match members.get(key) {
            None => Ok(default),
            Some(Value::String(text)) => text
                .parse::<GoDuration>()
                .map(GoDuration::as_nanos)
                .map_err(|error| format!("{key}: {error}")),
            Some(value) => integer(value).ok_or_else(|| format!("{key}: must be a duration")),
        };
        settings.max_msgs = number("maxmsgs", settings.max_msgs)?;
        if let Some(value) = members.get("maxbytes") {
            settings.max_bytes = bytes(value)
                .ok_or("maxbytes: must be a number of bytes, or a size like 512MB or 1GB")?;
        }
        settings.max_age = span("maxage", settings.max_age)?;
        settings.duplicates = span("duplicates", settings.duplicates)?;
        settings.retention = number("retention", settings.retention)?;
        settings.discard = number("discard", settings.discard)?;
        let replicas = number("replicas", 1)?;
        settings.replicas = usize::try_from(replicas).unwrap_or(1).max(1);
        if !(0..=2).contains(&settings.retention) {
            return Err("retention: must be 0 (limits), 1 (interest) or 2 (work queue)".into());
        }
        if !(0..=1).contains(&settings.discard) {
            return Err("discard: must be 0 (old) or 1 (new)".into());
        }
        Ok(settings)
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A number of bytes, or one with a unit of 1024, 1024² or 1024³, as upstream.
fn bytes(value: &Value) -> Option<i64> {
    if let Some(number) = integer(value) {
        return Some(number);
    }
    let text = value.as_str()?.trim().to_ascii_lowercase();
    let text = text.strip_suffix('b').unwrap_or(&text);
    let (digits, shift) = match text.as_bytes().last()? {
        b'k' => (&text[..text.len() - 1], 10),
        b'm' => (&text[..text.len() - 1], 20),
        b'g' => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    digits.trim().parse::<i64>().ok()?.checked_mul(1 << shift)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_are_read_in_any_case() {
        let parsed = StreamSettings::parse(&json!({
            "maxMsgs": 10, "maxage": "72h", "MAXBYTES": "1000", "replicas": 3, "duplicates": "60s",
        }))
        .expect("valid");
        assert_eq!(parsed.max_msgs, 10);
        assert_eq!(parsed.max_age, GoDuration::from_secs(72 * 3600).as_nanos());
        assert_eq!(parsed.max_bytes, 1000);
        for (text, count) in [("1GB", 1 << 30), ("512 mb", 512 << 20), ("10k", 10 << 10)] {
            let parsed = StreamSettings::parse(&json!({ "maxBytes": text })).expect("a size");
            assert_eq!(parsed.max_bytes, count, "{text}");
        }
        assert_eq!(parsed.replicas, 3);
        assert_eq!(parsed.duplicates, 60_000_000_000);
    }

    #[test]
    fn nonsense_is_refused_with_the_key() {
        assert_eq!(
            StreamSettings::parse(&Value::Null),
            Ok(StreamSettings::default())
        );
        assert!(
            StreamSettings::parse(&json!({"maxAge": "1 week"}))
                .unwrap_err()
                .starts_with("maxage")
        );
        assert!(StreamSettings::parse(&json!({"retention": 7})).is_err());
        assert!(StreamSettings::parse(&json!([])).is_err());
        assert!(StreamSettings::parse(&json!({"maxBytes": "much"})).is_err());
    }
}
