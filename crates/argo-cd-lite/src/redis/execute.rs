//! What the commands about keys do, and the others that need nothing of their connection.

use jiff::{SignedDuration, Timestamp};

use super::{
    command::{ClientCommand, Command, SetCommand, Unit},
    key::LiveKey,
    pattern,
    reply::Reply,
    revoked::is_revoked,
    server::Shared,
    session::MAX_KEY,
    store::{Store, TimeLeft},
};

impl Shared {
    /// Answers a command of the client with this number.
    pub(super) async fn execute(&self, command: Command, id: i64) -> Reply {
        let now = self.clock.now();
        match command {
            Command::Get(key) => self.get(&key, now).await,
            Command::Set(set) => self.set(&set, now).await,
            Command::Del(keys) => count(&keys, |key| self.store(key).remove(key, now)),
            Command::Exists(keys) => count(&keys, |key| self.store(key).contains(key, now)),
            Command::Expire(key, time) => {
                let expires = later(now, time);
                Reply::Int(i64::from(self.store(&key).expire(&key, expires, now)))
            }
            Command::TimeToLive(key, unit) => {
                Reply::Int(match self.store(&key).time_left(&key, now) {
                    TimeLeft::NoKey => -2,
                    TimeLeft::Forever => -1,
                    TimeLeft::For(time) if unit == Unit::Seconds => time.as_secs(),
                    TimeLeft::For(time) => i64::try_from(time.as_millis()).unwrap_or(i64::MAX),
                })
            }
            Command::Rename(from, to) => self.rename(&from, &to, now),
            Command::Scan { pattern } => {
                let matches = |key: &[u8]| {
                    pattern
                        .as_ref()
                        .is_none_or(|pattern| pattern::matches(pattern, key))
                };
                let mut keys = self.store.keys(matches, now);
                keys.extend(self.revoked.store.keys(matches, now));
                let keys = keys.into_iter().map(Reply::Bulk).collect();
                Reply::List(vec![Reply::text("0"), Reply::List(keys)])
            }
            Command::Publish(channel, payload) => {
                let receivers = self.channels.publish(&channel, &payload);
                Reply::Int(i64::try_from(receivers).unwrap_or(i64::MAX))
            }
            Command::Select(0) | Command::Client(ClientCommand::Note) => Reply::Simple("OK"),
            Command::Select(_) => Reply::error("DB index is out of range"),
            Command::Echo(payload) => Reply::text(payload),
            Command::Client(ClientCommand::Id) => Reply::Int(id),
            _ => Reply::error("the command is not possible here"),
        }
    }

    /// Where a key is.
    fn store(&self, key: &[u8]) -> &Store {
        if is_revoked(key) {
            &self.revoked.store
        } else {
            &self.store
        }
    }

    fn rename(&self, from: &[u8], to: &[u8], now: Timestamp) -> Reply {
        let refused = to.len() > MAX_KEY || is_revoked(from) || is_revoked(to);
        if !refused && self.store.rename(from, to, now) {
            return Reply::Simple("OK");
        }
        Reply::error("no such key")
    }

    async fn get(&self, key: &[u8], now: Timestamp) -> Reply {
        let Some(live) = LiveKey::parse(key, &self.cache_version) else {
            let value = self.store(key).get(key, now);
            return value.map_or(Reply::Null, Reply::Bulk);
        };
        match self.answers.get(&live).await {
            Ok(Some(value)) => Reply::Bulk(value),
            Ok(None) => Reply::Null,
            Err(error) => {
                tracing::debug!(key = %String::from_utf8_lossy(key), %error, "cannot answer a request for the cache");
                Reply::error(error.to_string())
            }
        }
    }

    async fn set(&self, set: &SetCommand, now: Timestamp) -> Reply {
        if set.key.len() > MAX_KEY {
            return Reply::error("the key is too long");
        }
        if LiveKey::parse(&set.key, &self.cache_version).is_some() {
            // The controller answers it from what is really there.
            return Reply::Simple("OK");
        }
        let expires = set.time.map(|time| later(now, time));
        if is_revoked(&set.key) {
            return match self.revoked.set(set, expires, now).await {
                Ok(true) => Reply::Simple("OK"),
                Ok(false) => Reply::Null,
                Err(reason) => Reply::error(reason),
            };
        }
        let stored = self
            .store
            .set(&set.key, &set.value, expires, set.condition, now);
        match stored {
            Ok(true) => Reply::Simple("OK"),
            Ok(false) => Reply::Null,
            Err(_) => Reply::Error(
                "OOM the value is larger than all the memory that is set aside for values"
                    .to_owned(),
            ),
        }
    }
}

fn count(keys: &[Vec<u8>], is_one: impl Fn(&[u8]) -> bool) -> Reply {
    let count = keys.iter().filter(|key| is_one(key)).count();
    Reply::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn later(now: Timestamp, time: SignedDuration) -> Timestamp {
    now.saturating_add(time).unwrap_or(Timestamp::MAX)
}
