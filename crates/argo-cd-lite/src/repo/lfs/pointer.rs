//! What stands in a commit for a large file.

/// Bytes of a pointer; a longer file is none.
pub(in crate::repo) const MAX_POINTER: u64 = 1023;
/// The first line.
const VERSION: &str = "version https://git-lfs.github.com/spec/v1";

/// What stands in a commit for a large file: hash and size of its content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::repo) struct Pointer {
    /// SHA-256, 64 hexadecimal digits in lower case.
    pub(in crate::repo) oid: String,
    /// Bytes.
    pub(in crate::repo) size: u64,
}

impl Pointer {
    /// The pointer that a file is; `None` for any other file. One with further lines, which name programs to run over the
    /// content, is none either.
    pub(in crate::repo) fn parse(content: &[u8]) -> Option<Self> {
        if content.len() as u64 > MAX_POINTER {
            return None;
        }
        let text = std::str::from_utf8(content).ok()?;
        let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
        if lines.next()? != VERSION {
            return None;
        }
        let oid = lines.next()?.strip_prefix("oid sha256:")?;
        let size = lines.next()?.strip_prefix("size ")?;
        let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let is_number = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
        if lines.next().is_some() || oid.len() != 64 || !oid.bytes().all(is_hex) || !is_number {
            return None;
        }
        Some(Self {
            oid: oid.to_owned(),
            size: size.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_pointer_is_one() {
        let oid = "4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393";
        let text = |oid: &str, rest: &str| format!("{VERSION}\noid sha256:{oid}\n{rest}");
        let parse = |text: &str| Pointer::parse(text.as_bytes());
        let found = parse(&text(oid, "size 12345\n")).expect("a pointer");
        assert_eq!((found.oid.as_str(), found.size), (oid, 12345));
        assert!(parse(&text(oid, "size 12345")).is_some());
        for other in [
            text(oid, "size -1\n"),
            text(oid, "size 1\nmore\n"),
            text(oid, "size 99999999999999999999\n"),
            text("../../../etc/passwd", "size 1\n"),
            text(&oid.to_uppercase(), "size 1\n"),
            text(oid, &format!("size 1{}\n", " ".repeat(1024))),
            format!("a: {}", text(oid, "size 1\n")),
            String::new(),
        ] {
            assert_eq!(parse(&other), None, "{other}");
        }
    }
}
