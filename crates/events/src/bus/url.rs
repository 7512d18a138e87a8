//! URLs of servers, with the credentials taken out.

use reconcile_core::{
    credentials::{redact_url, split_credentials},
    secret::Secret,
};

use super::Auth;

/// A server URL without credentials, and the credentials that stood in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerUrl {
    /// The URL without user and password: safe to print.
    pub url: String,
    /// The host.
    pub host: String,
    /// `user:password@` or `token@` of the URL.
    pub auth: Auth,
}

impl ServerUrl {
    /// Parses one URL. The error does not repeat the text, which may hold credentials.
    pub fn parse(text: &str) -> Result<Self, String> {
        let address: async_nats::ServerAddr = text
            .parse()
            .map_err(|error: std::io::Error| format!("{:?}: {error}", shown(text)))?;
        let auth = match (address.username(), address.password()) {
            (Some(user), Some(password)) if !user.is_empty() => Auth::Basic {
                username: unescape(user),
                password: Secret::from(unescape(password)),
            },
            (Some(token), None) if !token.is_empty() => Auth::Token(Secret::from(unescape(token))),
            _ => Auth::None,
        };
        let (scheme, host) = split_credentials(text);
        Ok(Self {
            url: format!("{scheme}{host}"),
            host: address.host().to_owned(),
            auth,
        })
    }
}

/// The URL without credentials. Without a scheme, `token@host` is a token.
fn shown(text: &str) -> String {
    if text.contains("://") {
        redact_url(text)
    } else {
        redact_url(&format!("nats://{text}"))
    }
}

/// Undoes percent encoding; what is not valid stays as it is.
fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_leave_the_url() {
        let parsed = ServerUrl::parse("nats://ann:p%40ss@bus:4222").expect("a URL");
        assert_eq!(parsed.url, "nats://bus:4222");
        assert!(
            parsed.auth
                == Auth::Basic {
                    username: "ann".into(),
                    password: "p@ss".into()
                }
        );
        assert!(!format!("{parsed:?}").contains("p@ss"));
        let token = ServerUrl::parse("tls://s3cret@bus").expect("a URL");
        assert_eq!(token.url, "tls://bus");
        assert!(token.auth == Auth::Token("s3cret".into()));
        let plain = ServerUrl::parse("bus:4222").expect("a URL");
        assert_eq!((plain.url.as_str(), plain.auth), ("bus:4222", Auth::None));
    }

    #[test]
    fn an_error_does_not_repeat_credentials() {
        for text in [
            "nats://ann:hush@a b",
            "ann:x/hush@a b",
            "hush@a b",
            "hu@hush@a b",
        ] {
            let error = ServerUrl::parse(text).expect_err("no URL");
            assert!(!error.contains("hu") && error.contains("a b"), "{error}");
        }
    }
}
