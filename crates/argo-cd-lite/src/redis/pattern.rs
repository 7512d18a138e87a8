//! The patterns of `SCAN ... MATCH`.

/// Whether `text` matches: `*` any bytes, `?` one byte, `[a-c]` and `[^a]` a set, `\` the next byte as it is. The time
/// is bounded by the product of both lengths.
pub(super) fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut next) = (0, 0);
    // Where the last star was, and the text that it has taken so far.
    let mut star: Option<(usize, usize)> = None;
    loop {
        if pattern.get(at) == Some(&b'*') {
            star = Some((at, next));
            at += 1;
            continue;
        }
        if next == text.len() && at == pattern.len() {
            return true;
        }
        let step = text.get(next).and_then(|byte| one(&pattern[at..], *byte));
        match (step, star) {
            (Some(length), _) => {
                at += length;
                next += 1;
            }
            (None, Some((from, taken))) if taken < text.len() => {
                star = Some((from, taken + 1));
                at = from + 1;
                next = taken + 1;
            }
            (None, _) => return false,
        }
    }
}

/// Bytes of the first element of `pattern`, when it matches `byte`.
fn one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [] => None,
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (*escaped == byte).then_some(2),
        [b'[', rest @ ..] => {
            let end = rest.iter().position(|byte| *byte == b']')?;
            let (negated, set) = match &rest[..end] {
                [b'^', set @ ..] => (true, set),
                set => (false, set),
            };
            (in_set(set, byte) != negated).then_some(end + 2)
        }
        [literal, ..] => (*literal == byte).then_some(1),
    }
}

fn in_set(mut set: &[u8], byte: u8) -> bool {
    loop {
        match set {
            [] => return false,
            [low, b'-', high, rest @ ..] => {
                if (low.min(high)..=low.max(high)).contains(&&byte) {
                    return true;
                }
                set = rest;
            }
            [single, rest @ ..] => {
                if *single == byte {
                    return true;
                }
                set = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn patterns_match_as_redis_has_them() {
        let yes = [
            ("*", ""),
            ("revoked-token|*", "revoked-token|abc"),
            ("*|1.8.3", "a|b|1.8.3"),
            ("a?c", "abc"),
            ("a[a-c]c", "abc"),
            ("a[^x]c", "abc"),
            ("a\\*c", "a*c"),
            ("*a*b*", "xxaxxbxx"),
        ];
        for (pattern, text) in yes {
            assert!(
                matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
        let no = [
            ("", "a"),
            ("a", ""),
            ("a?c", "ac"),
            ("a[^b]c", "abc"),
            ("a\\*c", "abc"),
            ("[", "["),
            ("*a", "ab"),
        ];
        for (pattern, text) in no {
            assert!(
                !matches(pattern.as_bytes(), text.as_bytes()),
                "{pattern} {text}"
            );
        }
    }

    #[test]
    fn many_stars_end_soon() {
        let pattern = "*a".repeat(500);
        assert!(!matches(pattern.as_bytes(), "a".repeat(400).as_bytes()));
    }
}
