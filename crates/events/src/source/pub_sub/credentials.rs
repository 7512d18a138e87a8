//! Who pulls messages, and where the API is.

use reconcile_core::jwt;
use reqwest::Url;
use serde::Deserialize;
use serde_json::json;

use crate::http_client::address;

/// A proof of identity is good for so long, in seconds.
pub(super) const LIFETIME: i64 = 3600;
/// It is replaced so much earlier.
pub(super) const EARLY: i64 = 300;

/// The key file of a service account, or the place of Google's emulator.
#[derive(Deserialize)]
#[serde(default)]
pub(super) struct Credentials {
    #[serde(rename = "type")]
    type_: String,
    pub(super) project_id: String,
    private_key_id: String,
    private_key: String,
    client_email: String,
    universe_domain: String,
    /// URL of the emulator.
    host: String,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            type_: String::new(),
            project_id: String::new(),
            private_key_id: String::new(),
            private_key: String::new(),
            client_email: String::new(),
            universe_domain: "googleapis.com".to_owned(),
            host: String::new(),
        }
    }
}

impl Credentials {
    /// Where the API is.
    pub(super) fn address(&self) -> Result<Url, &'static str> {
        match self.type_.as_str() {
            "service_account" => address(&format!("pubsub.{}", self.universe_domain), true)
                .ok_or("universe_domain is not a domain"),
            "emulator" => self
                .host
                .strip_prefix("http://")
                .and_then(|host| address(host.trim_end_matches('/'), false))
                .ok_or("host is not http://HOST:PORT"),
            _ => Err("is not the key file of a service account"),
        }
    }

    /// The token that a key signs; none for the emulator.
    pub(super) fn token(&self, now: i64) -> Result<Option<String>, &'static str> {
        if self.type_ == "emulator" {
            return Ok(None);
        }
        let claims = json!({
            "iss": self.client_email, "sub": self.client_email,
            "aud": format!("https://pubsub.{}/", self.universe_domain),
            "iat": now, "exp": now + LIFETIME,
        });
        jwt::signed(&self.private_key, Some(&self.private_key_id), &claims).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_address_comes_from_the_key_file() {
        let address = |file: Value| {
            let file: Credentials = serde_json::from_value(file).expect("credentials");
            file.address().map(String::from)
        };
        let google = json!({"type": "service_account"});
        assert_eq!(
            address(google).as_deref(),
            Ok("https://pubsub.googleapis.com/")
        );
        for wrong in [
            json!({"type": "service_account", "universe_domain": "evil.org/x"}),
            json!({"type": "authorized_user"}),
            json!({"type": "emulator", "host": "file:///etc"}),
        ] {
            address(wrong).expect_err("refused");
        }
    }
}
