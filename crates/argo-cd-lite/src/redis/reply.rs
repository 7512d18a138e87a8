//! Answers, in the version of the protocol that the client speaks.

use std::sync::Arc;

/// Version of the protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Protocol {
    /// Maps are lists, messages are lists.
    #[default]
    Resp2,
    /// As negotiated by `HELLO 3`.
    Resp3,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// A word such as `OK`.
    Simple(&'static str),
    /// An error; begins with its code, such as `ERR`.
    Error(String),
    /// A number.
    Int(i64),
    /// Bytes.
    Bulk(Arc<[u8]>),
    /// Nothing.
    Null,
    /// A list.
    List(Vec<Reply>),
    /// Pairs.
    Map(Vec<(Reply, Reply)>),
    /// Something that no request asked for.
    Push(Vec<Reply>),
}

impl Reply {
    pub(super) fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Bulk(text.as_ref().into())
    }

    /// An error with the code `ERR`.
    pub(super) fn error(text: impl AsRef<str>) -> Self {
        Self::Error(format!("ERR {}", text.as_ref()))
    }

    /// Appends the bytes of the answer.
    pub(super) fn write(&self, protocol: Protocol, out: &mut Vec<u8>) {
        let is_new = protocol == Protocol::Resp3;
        match self {
            Self::Simple(word) => line(out, b'+', word),
            // A line end would begin another answer.
            Self::Error(text) => line(out, b'-', &text.replace(['\r', '\n'], " ")),
            Self::Int(number) => line(out, b':', &number.to_string()),
            Self::Bulk(bytes) => {
                line(out, b'$', &bytes.len().to_string());
                out.extend_from_slice(bytes);
                out.extend_from_slice(b"\r\n");
            }
            Self::Null if is_new => out.extend_from_slice(b"_\r\n"),
            Self::Null => out.extend_from_slice(b"$-1\r\n"),
            Self::List(items) => list(items, b'*', protocol, out),
            Self::Push(items) => list(items, if is_new { b'>' } else { b'*' }, protocol, out),
            Self::Map(pairs) => {
                let (kind, count) = if is_new {
                    (b'%', pairs.len())
                } else {
                    (b'*', pairs.len() * 2)
                };
                line(out, kind, &count.to_string());
                for (name, value) in pairs {
                    name.write(protocol, out);
                    value.write(protocol, out);
                }
            }
        }
    }
}

fn line(out: &mut Vec<u8>, kind: u8, text: &str) {
    out.push(kind);
    out.extend_from_slice(text.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn list(items: &[Reply], kind: u8, protocol: Protocol, out: &mut Vec<u8>) {
    line(out, kind, &items.len().to_string());
    for item in items {
        item.write(protocol, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(reply: &Reply, protocol: Protocol) -> String {
        let mut out = Vec::new();
        reply.write(protocol, &mut out);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn each_version_has_its_own_form() {
        let map = Reply::Map(vec![(Reply::text("a"), Reply::Null)]);
        assert_eq!(written(&map, Protocol::Resp2), "*2\r\n$1\r\na\r\n$-1\r\n");
        assert_eq!(written(&map, Protocol::Resp3), "%1\r\n$1\r\na\r\n_\r\n");
        let push = Reply::Push(vec![Reply::Int(1), Reply::Simple("OK")]);
        assert_eq!(written(&push, Protocol::Resp2), "*2\r\n:1\r\n+OK\r\n");
        assert_eq!(written(&push, Protocol::Resp3), ">2\r\n:1\r\n+OK\r\n");
    }

    #[test]
    fn an_error_is_one_line() {
        let error = Reply::error("no\r\n+OK");
        assert_eq!(written(&error, Protocol::Resp2), "-ERR no  +OK\r\n");
    }
}
