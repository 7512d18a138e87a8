//! What may be a name, and the short hashes that Kubernetes puts into names.

/// Longest DNS-1123 label: Service names, and label values.
pub const LABEL_MAX: usize = 63;
/// Longest DNS-1123 subdomain: most object names.
pub const SUBDOMAIN_MAX: usize = 253;

/// The letters of generated names: no vowels and no look-alikes, so that no words appear.
const SAFE_ALPHABET: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Hex digits of the hash that [`truncate`] puts at the end.
const TRUNCATION_HASH: usize = 8;

const FNV32_OFFSET: u32 = 0x811c_9dc5;
const FNV32_PRIME: u32 = 0x0100_0193;
const FNV64_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV64_PRIME: u64 = 0x0000_0100_0000_01b3;

/// True when `text` is lower-case letters, digits and `-`, begins and ends with a letter or digit,
/// and has at most 63 characters.
pub fn is_dns_label(text: &str) -> bool {
    !text.is_empty() && text.len() <= LABEL_MAX && label_form(text)
}

/// True when `text` is DNS labels of any length joined by dots, at most 253 characters in all.
pub fn is_dns_subdomain(text: &str) -> bool {
    !text.is_empty() && text.len() <= SUBDOMAIN_MAX && text.split('.').all(label_form)
}

fn label_form(text: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit();
    let bytes = text.as_bytes();
    match (bytes.first(), bytes.last()) {
        (Some(first), Some(last)) => {
            inner(*first) && inner(*last) && bytes.iter().all(|c| inner(*c) || *c == b'-')
        }
        _ => false,
    }
}

/// True when `text` may be the value of a label (the empty text may).
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || (text.len() <= LABEL_MAX && qualified_form(text))
}

/// True when `text` may be the key of a label or annotation: `[prefix/]name`.
pub fn is_label_key(text: &str) -> bool {
    let (prefix, name) = text
        .split_once('/')
        .map_or((None, text), |(p, n)| (Some(p), n));
    prefix.is_none_or(is_dns_subdomain)
        && !name.is_empty()
        && name.len() <= LABEL_MAX
        && qualified_form(name)
}

fn qualified_form(text: &str) -> bool {
    let bytes = text.as_bytes();
    let border = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    border(bytes.first())
        && border(bytes.last())
        && bytes
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.'))
}

/// Replaces every byte by a letter of the safe alphabet, as `rand.SafeEncodeString` does with the
/// decimal text of a hash. `pod-template-hash` labels are made this way.
pub fn safe_encode(text: &str) -> String {
    let letter = |byte: u8| char::from(SAFE_ALPHABET[usize::from(byte) % SAFE_ALPHABET.len()]);
    text.bytes().map(letter).collect()
}

/// The suffix of a generated name for `number`; five letters as the API server makes
/// for `generateName` when `length` is 5.
pub fn random_suffix(mut number: u64, length: usize) -> String {
    let base = SAFE_ALPHABET.len() as u64;
    let mut suffix = String::with_capacity(length);
    for _ in 0..length {
        let index = usize::try_from(number % base).expect("a remainder below 27 fits");
        suffix.push(char::from(SAFE_ALPHABET[index]));
        number /= base;
    }
    suffix
}

/// FNV-1 with 32 bits (Go `fnv.New32`).
pub fn fnv1_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(FNV32_OFFSET, |hash, byte| {
        hash.wrapping_mul(FNV32_PRIME) ^ u32::from(*byte)
    })
}

/// FNV-1a with 32 bits (Go `fnv.New32a`).
pub fn fnv1a_32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(FNV32_OFFSET, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(FNV32_PRIME)
    })
}

/// FNV-1a with 64 bits (Go `fnv.New64a`).
pub fn fnv1a_64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(FNV64_OFFSET, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(FNV64_PRIME)
    })
}

/// `name` unchanged when it has at most `max` characters, else its beginning and a hash of the
/// whole, so that two long names with the same beginning stay apart.
pub fn truncate(name: &str, max: usize) -> String {
    if name.len() <= max {
        return name.to_owned();
    }
    let hash = format!("{:08x}", fnv1a_32(name.as_bytes()));
    let keep = max.saturating_sub(TRUNCATION_HASH + 1);
    let cut = (0..=keep)
        .rev()
        .find(|at| name.is_char_boundary(*at))
        .unwrap_or(0);
    let head = name[..cut].trim_end_matches(['-', '.']);
    if head.is_empty() {
        hash[..max.min(TRUNCATION_HASH)].to_owned()
    } else {
        format!("{head}-{hash}")
    }
}
