//! Glob patterns with the rules of `gobwas/glob`: what projects allow as repositories,
//! destinations and namespaces.
//!
//! `*` is any text without separators, `**` any text, `?` one character that is no separator,
//! `[abc]`, `[a-z]`, `[!abc]`, `[!a-z]` one character, `{a,b*}` alternatives, and `\` takes the
//! next character as it is. The whole text must match. Which characters separate is up to the
//! caller: for repositories it is `/`, elsewhere there are none.

use std::fmt::Write as _;

use regex::Regex;

/// Longer patterns are refused.
pub const MAX_LENGTH: usize = 4096;

/// Alternatives inside of alternatives.
const MAX_DEPTH: usize = 16;

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// The text does not follow the rules.
    #[error("{reason}, in glob pattern `{pattern}`")]
    Syntax {
        /// The pattern.
        pattern: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// The pattern is longer than [`MAX_LENGTH`] or nested too deeply.
    #[error("glob pattern is too long or nested too deeply")]
    TooLarge,
}

/// A compiled pattern.
#[derive(Debug, Clone)]
pub struct Glob {
    regex: Regex,
}

impl Glob {
    /// Compiles a pattern; `separators` are the characters that `*` and `?` do not match.
    pub fn new(pattern: &str, separators: &[char]) -> Result<Self, GlobError> {
        if pattern.len() > MAX_LENGTH {
            return Err(GlobError::TooLarge);
        }
        let text = translate(pattern, separators)?;
        let regex = regex::RegexBuilder::new(&text)
            .dot_matches_new_line(true)
            .size_limit(1 << 20)
            .build()
            .map_err(|_| GlobError::TooLarge)?;
        Ok(Self { regex })
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// Whether `text` matches `pattern`. What is no pattern matches nothing, as upstream.
pub fn matches(pattern: &str, text: &str, separators: &[char]) -> bool {
    Glob::new(pattern, separators).is_ok_and(|glob| glob.matches(text))
}

/// Writes a pattern as regular expression, which matches in linear time.
fn translate(pattern: &str, separators: &[char]) -> Result<String, GlobError> {
    let syntax = |reason| GlobError::Syntax {
        pattern: pattern.to_owned(),
        reason,
    };
    let mut single = String::from(".");
    if !separators.is_empty() {
        single = String::from("[^");
        for separator in separators {
            push_char(&mut single, *separator);
        }
        single.push(']');
    }
    let mut out = String::from("^(?:");
    let mut depth = 0;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            // A backslash at the end stands for nothing.
            '\\' => chars
                .next()
                .into_iter()
                .for_each(|c| push_char(&mut out, c)),
            '*' => {
                let mut any = false;
                while chars.next_if_eq(&'*').is_some() {
                    any = true;
                }
                let one = if any { "." } else { &single };
                out.push_str(one);
                out.push('*');
            }
            '?' => out.push_str(&single),
            '[' => push_class(&mut out, &mut chars).map_err(syntax)?,
            '{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(GlobError::TooLarge);
                }
                out.push_str("(?:");
            }
            ',' if depth > 0 => out.push('|'),
            '}' if depth > 0 => {
                depth -= 1;
                out.push(')');
            }
            c => push_char(&mut out, c),
        }
    }
    if depth > 0 {
        return Err(syntax("`{` is not closed"));
    }
    out.push_str(")$");
    Ok(out)
}

/// `[a-z]`, `[abc]`, both with `!` for everything else. A range stands alone: `[a-z0]` is none.
fn push_class(
    out: &mut String,
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
) -> Result<(), &'static str> {
    let negated = chars.next_if_eq(&'!').is_some();
    let mut members = Vec::new();
    loop {
        match chars.next().ok_or("`[` is not closed")? {
            ']' => break,
            '\\' => members.push(chars.next().ok_or("nothing to escape")?),
            c => members.push(c),
        }
    }
    out.push_str(if negated { "[^" } else { "[" });
    match members.as_slice() {
        [] => return Err("`[]` is empty"),
        [low, '-', high] => {
            if low > high {
                return Err("the range goes backwards");
            }
            push_char(out, *low);
            out.push('-');
            push_char(out, *high);
        }
        [_, '-', ..] => return Err("a range must stand alone in its brackets"),
        members => members.iter().for_each(|c| push_char(out, *c)),
    }
    out.push(']');
    Ok(())
}

/// Any character as itself, inside of brackets too.
fn push_char(out: &mut String, c: char) {
    if c.is_alphanumeric() {
        out.push(c);
    } else {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\x{{{:x}}}", u32::from(c));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_must_match_the_whole_text() {
        assert!(matches(
            "https://github.com/*/app",
            "https://github.com/org/app",
            &['/']
        ));
        assert!(!matches(
            "https://github.com/*",
            "https://github.com/org/app",
            &['/']
        ));
        assert!(matches(
            "https://github.com/**",
            "https://github.com/org/app",
            &['/']
        ));
        assert!(matches("team-*", "team-a/b\nc", &[]));
        assert!(!matches("team", "team-a", &[]));
    }

    #[test]
    fn what_is_no_pattern_is_explained() {
        for (pattern, message) in [
            ("a[", "`[` is not closed, in glob pattern `a[`"),
            ("{a", "`{` is not closed, in glob pattern `{a`"),
            ("[z-a]", "the range goes backwards, in glob pattern `[z-a]`"),
        ] {
            assert_eq!(Glob::new(pattern, &[]).unwrap_err().to_string(), message);
            assert!(!matches(pattern, pattern, &[]));
        }
        assert!(Glob::new(&"{".repeat(1_000), &[]).is_err());
        assert!(Glob::new(&"*".repeat(MAX_LENGTH + 1), &[]).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(pattern in "[ab*?{},\\[\\]!\\\\é^$.-]{0,16}", text in "[ab/é.]{0,8}") {
            let _ = matches(&pattern, &text, &['/']);
        }

        #[test]
        fn plain_text_matches_itself(text in "[a-z0-9/:.@ _é+^$()|-]{0,20}") {
            prop_assert!(matches(&text, &text, &['/']));
        }
    }
}
