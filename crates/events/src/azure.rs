//! Servers of Azure Service Bus and Event Hubs over HTTPS: connection strings and signatures.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::{Timestamp, ToSpan};
use reqwest::Url;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;
use url::form_urlencoded;

use crate::http_client::address;

/// A signature is good for so long.
const LIFETIME_MINUTES: i64 = 10;

/// A connection string that cannot be used. It quotes nothing of it.
#[derive(Debug, Error, PartialEq, Eq)]
pub(crate) enum ConnectionStringError {
    /// A part is missing.
    #[error("the connection string has no {0}")]
    Missing(&'static str),
    /// The endpoint is no address.
    #[error("Endpoint of the connection string is not sb://HOST/")]
    Endpoint,
    /// The endpoint of a queue service is no URL.
    #[error("QueueEndpoint of the connection string is not http://HOST/ or https://HOST/")]
    QueueEndpoint,
}

/// A connection string, `NAME=VALUE;NAME=VALUE`.
#[derive(Clone, Copy)]
pub(crate) struct ConnectionParts<'t>(pub(crate) &'t str);

impl<'t> ConnectionParts<'t> {
    /// The value of a part that is there and not empty; the case of names does not count.
    pub(crate) fn find(self, name: &str) -> Option<&'t str> {
        let mut parts = self.0.split(';').filter_map(|part| part.split_once('='));
        let found = parts.find(|(key, _)| key.trim().eq_ignore_ascii_case(name));
        let value = found.map(|(_, value)| value.trim());
        value.filter(|value| !value.is_empty())
    }

    /// The value of a part, or the error that it is missing.
    pub(crate) fn needed(self, name: &'static str) -> Result<&'t str, ConnectionStringError> {
        self.find(name).ok_or(ConnectionStringError::Missing(name))
    }
}

/// A namespace and a key for it.
#[derive(Clone)]
pub(crate) struct Namespace {
    /// Its address; the path is empty.
    pub(crate) address: Url,
    /// Name of the key.
    pub(crate) key_name: String,
    /// The key.
    pub(crate) key: SecretString,
}

impl Namespace {
    /// Reads `Endpoint=sb://HOST/;SharedAccessKeyName=NAME;SharedAccessKey=KEY`. With `UseDevelopmentEmulator=true` the
    /// connection is not encrypted, as in Azure's own clients.
    pub(crate) fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        let parts = ConnectionParts(text);
        let emulator = parts
            .find("UseDevelopmentEmulator")
            .is_some_and(|is| is.eq_ignore_ascii_case("true"));
        let host = parts
            .needed("Endpoint")?
            .strip_prefix("sb://")
            .ok_or(ConnectionStringError::Endpoint)?;
        Ok(Self {
            address: address(host.trim_end_matches('/'), !emulator)
                .ok_or(ConnectionStringError::Endpoint)?,
            key_name: parts.needed("SharedAccessKeyName")?.to_owned(),
            key: parts.needed("SharedAccessKey")?.to_owned().into(),
        })
    }

    /// The URL of what is below the namespace.
    pub(crate) fn url(&self, path: &[&str]) -> Url {
        let mut url = self.address.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            let names = path.iter().flat_map(|name| name.split('/'));
            segments.clear().extend(names);
        }
        url
    }

    /// The value of the header `Authorization` for requests to `url` and below.
    pub(crate) fn signature(&self, url: &Url, now: Timestamp) -> String {
        let expiry = now.saturating_add(LIFETIME_MINUTES.minutes());
        let expiry = expiry.unwrap_or(now).as_second();
        let encoded =
            |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let resource = encoded(url.as_str());
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.key.expose_secret().as_bytes());
        let signature = hmac::sign(&key, format!("{resource}\n{expiry}").as_bytes());
        let signature = BASE64_STANDARD.encode(signature);
        format!(
            "SharedAccessSignature sr={resource}&sig={}&se={expiry}&skn={}",
            encoded(&signature),
            encoded(&self.key_name)
        )
    }
}

/// A time of HTTP as Go writes times in JSON.
pub(crate) fn rfc3339(time: &str) -> String {
    jiff::fmt::rfc2822::parse(time)
        .map_or_else(|_| time.to_owned(), |time| time.timestamp().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_string_gives_an_address_and_a_signature() {
        let text = "Endpoint=sb://Shop.servicebus.windows.net/;SharedAccessKeyName=send;SharedAccessKey=a2V5=;EntityPath=q";
        let namespace = Namespace::parse(text).expect("good");
        let url = namespace.url(&["q", "messages"]);
        assert_eq!(
            url.as_str(),
            "https://shop.servicebus.windows.net/q/messages"
        );
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        // The HMAC was computed with openssl.
        assert_eq!(
            namespace.signature(&namespace.url(&["q"]), now),
            "SharedAccessSignature sr=https%3A%2F%2Fshop.servicebus.windows.net%2Fq\
             &sig=lmWS691gpEcnGPSYva9nMnsds7vBRfs3HclJkTiS4r8%3D&se=1700000600&skn=send"
        );
        for (text, error) in [
            ("", ConnectionStringError::Missing("Endpoint")),
            ("Endpoint=https://h/", ConnectionStringError::Endpoint),
            (
                "Endpoint=sb://u:p@h/;SharedAccessKeyName=n;SharedAccessKey=k",
                ConnectionStringError::Endpoint,
            ),
            (
                "Endpoint=sb://h/;SharedAccessKeyName=n",
                ConnectionStringError::Missing("SharedAccessKey"),
            ),
        ] {
            assert_eq!(Namespace::parse(text).err(), Some(error));
        }
        let emulator = format!("{text};UseDevelopmentEmulator=true");
        assert_eq!(
            Namespace::parse(&emulator).expect("good").address.scheme(),
            "http"
        );
    }
}
