//! The queue service of Azure Storage over HTTPS: connection strings, signatures, messages.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use quick_xml::{Reader, events::Event};
use reqwest::Url;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};

use crate::azure::{ConnectionParts, ConnectionStringError};

/// The version of the protocol.
const VERSION: &str = "2021-12-02";
const DATE: HeaderName = HeaderName::from_static("x-ms-date");
const VERSION_HEADER: HeaderName = HeaderName::from_static("x-ms-version");

/// An account and how to be let in.
pub(crate) struct QueueAccount {
    /// Address of the service; its path ends with a slash.
    pub(crate) endpoint: Url,
    access: Access,
}

/// What lets a request in.
enum Access {
    Key {
        name: String,
        key: SecretString,
    },
    /// Parameters of each URL.
    Signature(SecretString),
}

/// A message as it was received.
pub struct QueueMessage {
    /// Its id.
    pub id: String,
    /// With which it is deleted.
    pub receipt: String,
    /// When it came into the queue, as HTTP writes times.
    pub inserted: String,
    /// What it says, maybe in base64.
    pub text: String,
}

impl QueueAccount {
    /// Reads a connection string with an account key or a shared access signature.
    pub(crate) fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        let parts = ConnectionParts(text);
        let endpoint = if let Some(endpoint) = parts.find("QueueEndpoint") {
            endpoint.to_owned()
        } else {
            let protocol = parts.find("DefaultEndpointsProtocol").unwrap_or("https");
            let suffix = parts.find("EndpointSuffix").unwrap_or("core.windows.net");
            format!(
                "{protocol}://{}.queue.{suffix}",
                parts.needed("AccountName")?
            )
        };
        let endpoint = Url::parse(&format!("{}/", endpoint.trim_end_matches('/')));
        let endpoint = endpoint.ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
        });
        let access = match parts.find("SharedAccessSignature") {
            Some(signature) => Access::Signature(signature.trim_start_matches('?').into()),
            None => Access::Key {
                name: parts.needed("AccountName")?.to_owned(),
                key: parts.needed("AccountKey")?.into(),
            },
        };
        Ok(Self {
            endpoint: endpoint.ok_or(ConnectionStringError::QueueEndpoint)?,
            access,
        })
    }

    /// What must be in no text.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let secret = match &self.access {
            Access::Key { key, .. } => key,
            Access::Signature(signature) => signature,
        };
        std::iter::once(secret.expose_secret())
    }

    /// The URL of what is below the service.
    pub(crate) fn url(&self, path: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.endpoint.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if let Access::Signature(signature) = &self.access {
            url.set_query(Some(signature.expose_secret()));
        }
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    /// The headers of a request without a body; `None` if the account or its key cannot be valid.
    pub(crate) fn headers(&self, method: &Method, url: &Url, now: Timestamp) -> Option<HeaderMap> {
        let date = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        let mut headers = HeaderMap::from_iter([
            (DATE, HeaderValue::from_str(&date).ok()?),
            (VERSION_HEADER, HeaderValue::from_static(VERSION)),
        ]);
        if let Access::Key { name, key } = &self.access {
            let text = text_to_sign(method, url, name, &date);
            let key = BASE64_STANDARD.decode(key.expose_secret()).ok()?;
            let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
            let signature = BASE64_STANDARD.encode(hmac::sign(&key, text.as_bytes()));
            let value = format!("SharedKey {name}:{signature}");
            let mut value = HeaderValue::from_str(&value).ok()?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Some(headers)
    }
}

/// What the key of the account signs: the method, eleven headers that are absent, those of the service, and the resource.
fn text_to_sign(method: &Method, url: &Url, account: &str, date: &str) -> String {
    let mut query: Vec<(String, String)> = url
        .query_pairs()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
        .collect();
    query.sort();
    let query: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("\n{name}:{value}"))
        .collect();
    let query = query.concat();
    let absent = "\n".repeat(11);
    format!(
        "{method}\n{absent}x-ms-date:{date}\nx-ms-version:{VERSION}\n/{account}{}{query}",
        url.path()
    )
}

/// The messages of an answer, `most` at most; `None` if it is none.
pub fn messages(xml: &str, most: usize) -> Option<Vec<QueueMessage>> {
    let mut reader = Reader::from_str(xml);
    let (mut found, mut current, mut text) = (Vec::new(), Parts::default(), String::new());
    let mut open = 0_usize;
    let mut is_list = false;
    loop {
        match reader.read_event().ok()? {
            Event::Start(_) if open > 0 => {
                text.clear();
                open += 1;
            }
            Event::Start(start) if !is_list && start.name().as_ref() == LIST => {
                is_list = true;
                open += 1;
            }
            Event::Empty(empty) if !is_list && empty.name().as_ref() == LIST => is_list = true,
            Event::Start(_) => return None,
            Event::Text(part) => text.push_str(&part.into_inner()),
            Event::CData(part) => text.push_str(&part.into_inner()),
            Event::GeneralRef(name) => text.push(character(&name.into_inner())?),
            Event::End(end) => {
                open = open.checked_sub(1)?;
                match (open, end.name().as_ref()) {
                    (1, MESSAGE) if found.len() < most => {
                        found.push(std::mem::take(&mut current).whole()?);
                    }
                    (2, name) => current.set(name, std::mem::take(&mut text)),
                    _ => {}
                }
            }
            Event::Eof => return (is_list && open == 0).then_some(found),
            _ => {}
        }
    }
}

/// Elements of an answer.
const LIST: &str = "QueueMessagesList";
const MESSAGE: &str = "QueueMessage";

/// What has been read of a message.
#[derive(Default)]
struct Parts {
    id: Option<String>,
    receipt: Option<String>,
    inserted: Option<String>,
    text: String,
}

impl Parts {
    fn set(&mut self, name: &str, text: String) {
        match name {
            "MessageId" => self.id = Some(text),
            "PopReceipt" => self.receipt = Some(text),
            "InsertionTime" => self.inserted = Some(text),
            "MessageText" => self.text = text,
            _ => {}
        }
    }

    fn whole(self) -> Option<QueueMessage> {
        Some(QueueMessage {
            id: self.id.filter(|id| !id.is_empty())?,
            receipt: self.receipt?,
            inserted: self.inserted?,
            text: self.text,
        })
    }
}

/// The character that a reference stands for. There are no others than those of XML itself.
fn character(name: &str) -> Option<char> {
    let number = |text: &str, base| char::from_u32(u32::from_str_radix(text, base).ok()?);
    match name {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        name => match (name.strip_prefix("#x"), name.strip_prefix('#')) {
            (Some(hex), _) => number(hex, 16),
            (None, Some(decimal)) => number(decimal, 10),
            (None, None) => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(text: &str) -> Result<QueueAccount, ConnectionStringError> {
        QueueAccount::parse(text)
    }

    #[test]
    fn connection_strings_name_the_service_and_the_key() {
        let plain = account("AccountName=shop;AccountKey=a2V5").expect("good");
        assert_eq!(
            plain.endpoint.as_str(),
            "https://shop.queue.core.windows.net/"
        );
        let text = "DefaultEndpointsProtocol=http;AccountName=shop;AccountKey=a2V5;EndpointSuffix=core.chinacloudapi.cn";
        let other = account(text).expect("good");
        assert_eq!(
            other.endpoint.as_str(),
            "http://shop.queue.core.chinacloudapi.cn/"
        );
        let text =
            "QueueEndpoint=http://127.0.0.1:10001/shop;SharedAccessSignature=?sv=1&sig=a%2Bb";
        let signed = account(text).expect("good");
        let url = signed.url(&["orders", "messages"], &[("numofmessages", "2")]);
        assert_eq!(
            url.as_str(),
            "http://127.0.0.1:10001/shop/orders/messages?sv=1&sig=a%2Bb&numofmessages=2"
        );
        for (text, error) in [
            ("", ConnectionStringError::Missing("AccountName")),
            (
                "AccountName=a",
                ConnectionStringError::Missing("AccountKey"),
            ),
            (
                "QueueEndpoint=ftp://a;SharedAccessSignature=b",
                ConnectionStringError::QueueEndpoint,
            ),
            (
                "QueueEndpoint=http://u:p@a;SharedAccessSignature=b",
                ConnectionStringError::QueueEndpoint,
            ),
        ] {
            assert_eq!(account(text).err(), Some(error));
        }
    }

    #[test]
    fn a_request_is_signed_with_its_query() {
        let account = account("AccountName=shop;AccountKey=a2V5").expect("good");
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        let url = account.url(&["q", "messages", "1"], &[("popreceipt", "a+b=")]);
        let text = text_to_sign(&Method::DELETE, &url, "shop", "D");
        assert_eq!(
            text,
            "DELETE\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:D\nx-ms-version:2021-12-02\n/shop/q/messages/1\npopreceipt:a+b="
        );
        let headers = account.headers(&Method::DELETE, &url, now).expect("signed");
        assert_eq!(headers["x-ms-date"], "Tue, 14 Nov 2023 22:13:20 GMT");
        let signature = headers["authorization"].to_str().expect("text");
        assert!(signature.starts_with("SharedKey shop:"), "{signature}");
    }

    #[test]
    fn messages_are_read_and_what_is_no_list_is_none() {
        let message = "<QueueMessage><MessageId>m</MessageId><InsertionTime>t</InsertionTime><PopReceipt>r&amp;</PopReceipt>\
            <MessageText> &lt;a&gt; &#x26; &#38; &amp;lt; <![CDATA[<&>]]> </MessageText></QueueMessage>";
        let xml = format!("<QueueMessagesList>{message}{message}{message}</QueueMessagesList>");
        let found = messages(&xml, 2).expect("a list");
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].receipt, "r&");
        assert_eq!(found[0].text, " <a> & & &lt; <&> ");
        assert!(
            messages("<QueueMessagesList />", 2)
                .expect("a list")
                .is_empty()
        );
        for text in [
            "<QueueMessagesList><QueueMessage><MessageId>m</MessageId>",
            "<QueueMessagesList><QueueMessage><MessageId>m</MessageId></QueueMessage></QueueMessagesList>",
            "<QueueMessagesList>&nothing;</QueueMessagesList>",
            "<QueueMessagesList></Other>",
            "<html></html>",
            "",
        ] {
            assert!(messages(text, 2).is_none(), "{text}");
        }
    }
}
