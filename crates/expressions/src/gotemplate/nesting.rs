//! How deep the blocks of a template are nested.
//!
//! The engine parses, runs and drops blocks recursively. It bounds blocks inside of blocks, but
//! not chains of `else if`, each of which is a block inside of the one before.

/// Deepest nesting, each `else if` counted as one level.
pub(super) const MAX_NESTING: usize = 60;

/// The deepest nesting of a template; stops counting above [`MAX_NESTING`].
pub(super) fn nesting(text: &str) -> usize {
    let mut deepest = 0;
    let mut depth = 0;
    // Levels that each open block has, its `else if`s included.
    let mut blocks: Vec<usize> = Vec::new();
    let mut rest = text;
    while let Some((_, inside)) = rest.split_once("{{") {
        let length = action_length(inside);
        let action = inside[..length].trim_start_matches('-').trim_start();
        let mut words = action.split(|c: char| !c.is_ascii_alphabetic());
        match words.next() {
            Some("if" | "with" | "range" | "block" | "define") => {
                blocks.push(1);
                depth += 1;
            }
            Some("else") if words.any(|word| !word.is_empty()) => {
                if let Some(levels) = blocks.last_mut() {
                    *levels += 1;
                    depth += 1;
                }
            }
            Some("end") => depth -= blocks.pop().unwrap_or(0),
            _ => {}
        }
        deepest = deepest.max(depth);
        if deepest > MAX_NESTING {
            break;
        }
        rest = &inside[length..];
    }
    deepest
}

/// Bytes up to the `}}` that ends an action; strings and comments may contain one.
fn action_length(inside: &str) -> usize {
    let bytes = inside.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'}' if bytes.get(at + 1) == Some(&b'}') => return at,
            b'/' if bytes.get(at + 1) == Some(&b'*') => {
                let Some(length) = inside[at..].find("*/") else {
                    return bytes.len();
                };
                at += length + 1;
            }
            b'`' => match inside[at + 1..].find('`') {
                Some(length) => at += length + 1,
                None => return bytes.len(),
            },
            quote @ (b'"' | b'\'') => {
                at += 1;
                while at < bytes.len() && bytes[at] != quote {
                    at += usize::from(bytes[at] == b'\\') + 1;
                }
            }
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_chains_count() {
        for (text, expected) in [
            ("", 0),
            ("{{ if a }}{{ end }}{{ with b }}{{end}}", 1),
            ("{{ if a }}{{- range b }}{{ end }}{{ end }}", 2),
            (
                "{{ if a }}{{ else if b }}{{ else if c }}{{ else }}{{ end }}{{ if d }}{{ end }}",
                3,
            ),
            ("{{ if a }}{{/* {{ end }} */}}{{ if b }}", 2),
            ("{{ if \"}}{{ end\" }}{{ if `}}{{ end` }}", 2),
            ("{{ iffy }}{{ .if }}", 0),
            ("{{", 0),
            ("{{ \"", 0),
        ] {
            assert_eq!(nesting(text), expected, "{text}");
        }
    }
}
