//! Encodings and digests.

use gotmpl::Value;
use sha2::Digest as _;

use super::args::{Args, from_json, text, to_json};
use super::{Function, function};
use crate::go_text::{base64_decode, base64_standard, json};

pub(super) const FUNCTIONS: &[Function] = &[
    function("b64enc", 1, 1, |a| {
        Ok(text(base64_standard(a.str(0)?.as_bytes())))
    }),
    // A text that is no base64 gives the error as text, as upstream.
    function("b64dec", 1, 1, |a| {
        Ok(text(match base64_decode(a.str(0)?) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) => error,
        }))
    }),
    function("b32enc", 1, 1, |a| Ok(text(base32(a.str(0)?.as_bytes())))),
    function("b32dec", 1, 1, |a| {
        Ok(text(match base32_decode(a.str(0)?) {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => "illegal base32 data".to_owned(),
        }))
    }),
    function("sha256sum", 1, 1, |a| {
        Ok(text(hex::encode(sha2::Sha256::digest(a.str(0)?))))
    }),
    function("sha512sum", 1, 1, |a| {
        Ok(text(hex::encode(sha2::Sha512::digest(a.str(0)?))))
    }),
    function("sha1sum", 1, 1, |a| {
        Ok(text(hex::encode(sha1(a.str(0)?.as_bytes()))))
    }),
    function("adler32sum", 1, 1, |a| {
        Ok(text(adler32(a.str(0)?.as_bytes()).to_string()))
    }),
    function("toJson", 1, 1, |a| {
        Ok(text(encoded(a, json::COMPACT).unwrap_or_default()))
    }),
    function("mustToJson", 1, 1, |a| encoded(a, json::COMPACT).map(text)),
    function("toPrettyJson", 1, 1, |a| {
        Ok(text(encoded(a, json::INDENTED).unwrap_or_default()))
    }),
    function("mustToPrettyJson", 1, 1, |a| {
        encoded(a, json::INDENTED).map(text)
    }),
    function("toRawJson", 1, 1, |a| encoded(a, json::RAW).map(text)),
    function("mustToRawJson", 1, 1, |a| encoded(a, json::RAW).map(text)),
    function("fromJson", 1, 1, |a| Ok(decoded(a)?.unwrap_or(Value::Nil))),
    function("mustFromJson", 1, 1, |a| {
        decoded(a)?.ok_or_else(|| "no valid JSON".to_owned())
    }),
];

fn encoded(args: &Args<'_>, style: json::Style) -> Result<String, String> {
    to_json(args.any(0))
        .map(|value| json::to_string(&value, style))
        .ok_or_else(|| "the value cannot be written as JSON".to_owned())
}

fn decoded(args: &Args<'_>) -> Result<Option<Value>, String> {
    Ok(serde_json::from_str(args.str(0)?)
        .ok()
        .map(|value| from_json(&value)))
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 8 / 5 + 8);
    for group in bytes.chunks(5) {
        let mut padded = [0_u8; 8];
        padded[3..3 + group.len()].copy_from_slice(group);
        let bits = u64::from_be_bytes(padded);
        let used = (group.len() * 8).div_ceil(5);
        for position in 0..8 {
            let index = usize::try_from((bits >> (35 - 5 * position)) & 31).unwrap_or(0);
            out.push(if position < used {
                char::from(BASE32[index])
            } else {
                '='
            });
        }
    }
    out
}

fn base32_decode(text: &str) -> Option<Vec<u8>> {
    let text: Vec<u8> = text
        .bytes()
        .filter(|b| !matches!(b, b'\r' | b'\n'))
        .collect();
    if !text.len().is_multiple_of(8) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() * 5 / 8);
    let groups = text.len() / 8;
    for (number, group) in text.chunks(8).enumerate() {
        let used = group.iter().position(|b| *b == b'=').unwrap_or(8);
        let bytes = match used {
            2 => 1,
            4 => 2,
            5 => 3,
            7 => 4,
            8 => 5,
            _ => return None,
        };
        if group[used..].iter().any(|b| *b != b'=') || (used < 8 && number + 1 != groups) {
            return None;
        }
        let mut bits = 0_u64;
        for position in 0..8 {
            let value = match group.get(position).filter(|_| position < used) {
                Some(byte) => BASE32.iter().position(|known| known == byte)?,
                None => 0,
            };
            bits = bits << 5 | value as u64;
        }
        out.extend_from_slice(&bits.to_be_bytes()[3..3 + bytes]);
    }
    Some(out)
}

fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut a, mut b) = (1_u32, 0_u32);
    for byte in bytes {
        a = (a + u32::from(*byte)) % MODULUS;
        b = (b + a) % MODULUS;
    }
    b << 16 | a
}

/// SHA-1, for fingerprints only.
#[expect(
    clippy::many_single_char_names,
    reason = "the standard calls its words so"
)]
fn sha1(bytes: &[u8]) -> [u8; 20] {
    let mut state = [
        0x6745_2301_u32,
        0xefcd_ab89,
        0x98ba_dcfe,
        0x1032_5476,
        0xc3d2_e1f0,
    ];
    let mut message = bytes.to_vec();
    message.push(0x80);
    while message.len() % 64 != 56 {
        message.push(0);
    }
    message.extend_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    for block in message.chunks_exact(64) {
        let mut words = [0_u32; 80];
        for (word, part) in words.iter_mut().zip(block.chunks_exact(4)) {
            *word = u32::from_be_bytes([part[0], part[1], part[2], part[3]]);
        }
        for i in 16..80 {
            words[i] = (words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16]).rotate_left(1);
        }
        let [mut a, mut b, mut c, mut d, mut e] = state;
        for (i, word) in words.iter().enumerate() {
            let (mix, constant) = match i {
                0..20 => ((b & c) | (!b & d), 0x5a82_7999),
                20..40 => (b ^ c ^ d, 0x6ed9_eba1),
                40..60 => ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc),
                _ => (b ^ c ^ d, 0xca62_c1d6_u32),
            };
            let next = a
                .rotate_left(5)
                .wrapping_add(mix)
                .wrapping_add(e)
                .wrapping_add(constant)
                .wrapping_add(*word);
            (e, d, c, b, a) = (d, c, b.rotate_left(30), a, next);
        }
        for (sum, part) in state.iter_mut().zip([a, b, c, d, e]) {
            *sum = sum.wrapping_add(part);
        }
    }
    let mut digest = [0; 20];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    digest
}
