//! The keys of SSH servers in the text of a Secret.

use base64::{Engine, engine::general_purpose::STANDARD};

/// Keys of servers that one text may name.
const MOST: usize = 16;

/// The public keys in the lines of a text, as `TYPE KEY`, with or without anything before and behind them, as in
/// `authorized_keys`, `known_hosts` and the output of `ssh-keyscan`. Comments and marked lines, such as those of
/// revoked keys, do not count.
pub(crate) fn host_keys(text: &str) -> Vec<String> {
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(['#', '@']));
    let keys = lines.filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().take(8).collect();
        let mut pairs = words.windows(2);
        pairs
            .find(|pair| is_key(pair[0], pair[1]))
            .map(|pair| pair.join(" "))
    });
    keys.take(MOST).collect()
}

/// True for a key that says itself that it is of this type.
fn is_key(kind: &str, key: &str) -> bool {
    let Ok(bytes) = STANDARD.decode(key) else {
        return false;
    };
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return false;
    };
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    rest.len() > length && rest.get(..length) == Some(kind.as_bytes()) && !kind.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ED25519: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJCzT8pIHg3cX6qHwS0oXnXrNUMnbe/6p4b9zZQ0nD2u";

    #[test]
    fn host_keys_are_found_in_the_formats_of_openssh() {
        for text in [
            ED25519.to_owned(),
            format!("{ED25519} somebody@example"),
            format!("# comment\nsftp.example.org {ED25519}\n"),
            format!("-----BEGIN X-----\nabcd\n-----END X-----\n[h]:2222,h {ED25519} c"),
        ] {
            assert_eq!(host_keys(&text), [ED25519], "{text}");
        }
        for text in [
            "sftp.example.org:22".to_owned(),
            "ssh-ed25519 AAAA\nssh-ed25519".to_owned(),
            ED25519.replace("ssh-ed25519 ", "ssh-rsa "),
            format!("@revoked h {ED25519}"),
            format!("#{ED25519}"),
        ] {
            assert!(host_keys(&text).is_empty(), "{text}");
        }
        assert_eq!(host_keys(&format!("{ED25519}\n").repeat(99)).len(), MOST);
    }
}
