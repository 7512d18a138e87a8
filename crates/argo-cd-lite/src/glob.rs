//! Globs in the dialect of project rules and of `include`/`exclude`.
//!
//! `*` matches any run of characters but separators, `**` any run, `?` one character that is no separator,
//! `[a-z]` and `[!a-z]` one of a set, `{a,b}` one of several patterns, `\` takes the next character as it
//! is. Without separators `*` matches slashes too.

/// Steps after which a match is given up as no match: patterns come from users, and nested alternatives
/// can be made to explode.
const MAX_STEPS: usize = 100_000;

/// True when `text` matches `pattern`. A malformed pattern matches nothing.
pub fn matches(pattern: &str, text: &str, separators: &[char]) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let mut matcher = Matcher {
        separators,
        steps: 0,
    };
    matcher.matches(&pattern, &text)
}

struct Matcher<'a> {
    separators: &'a [char],
    steps: usize,
}

impl Matcher<'_> {
    fn matches(&mut self, pattern: &[char], text: &[char]) -> bool {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return false;
        }
        let Some(first) = pattern.first() else {
            return text.is_empty();
        };
        match first {
            '*' if pattern.get(1) == Some(&'*') => {
                (0..=text.len()).any(|taken| self.matches(&pattern[2..], &text[taken..]))
            }
            '*' => {
                let run = text
                    .iter()
                    .take_while(|c| !self.separators.contains(c))
                    .count();
                (0..=run).any(|taken| self.matches(&pattern[1..], &text[taken..]))
            }
            '?' => {
                text.first().is_some_and(|c| !self.separators.contains(c))
                    && self.matches(&pattern[1..], &text[1..])
            }
            '[' => self.set(pattern, text),
            '{' => self.alternatives(pattern, text),
            '\\' => match pattern.get(1) {
                Some(literal) => {
                    text.first() == Some(literal) && self.matches(&pattern[2..], &text[1..])
                }
                None => false,
            },
            literal => text.first() == Some(literal) && self.matches(&pattern[1..], &text[1..]),
        }
    }

    fn set(&mut self, pattern: &[char], text: &[char]) -> bool {
        let Some(end) = pattern.iter().position(|c| *c == ']') else {
            return false;
        };
        let Some(candidate) = text.first() else {
            return false;
        };
        let mut set = &pattern[1..end];
        let negated = set.first() == Some(&'!');
        if negated {
            set = &set[1..];
        }
        let mut found = false;
        let mut at = 0;
        while at < set.len() {
            if at + 2 < set.len() && set[at + 1] == '-' {
                found |= (set[at]..=set[at + 2]).contains(candidate);
                at += 3;
            } else {
                found |= set[at] == *candidate;
                at += 1;
            }
        }
        found != negated && self.matches(&pattern[end + 1..], &text[1..])
    }

    fn alternatives(&mut self, pattern: &[char], text: &[char]) -> bool {
        let mut depth = 0_usize;
        let mut starts = vec![1];
        let mut end = None;
        for (at, c) in pattern.iter().enumerate() {
            match c {
                '{' => depth += 1,
                ',' if depth == 1 => starts.push(at + 1),
                '}' => {
                    depth -= 1;
                    if depth == 0 {
                        end = Some(at);
                        break;
                    }
                }
                _ => {}
            }
        }
        let Some(end) = end else { return false };
        let rest = &pattern[end + 1..];
        starts.iter().enumerate().any(|(index, start)| {
            let stop = starts.get(index + 1).map_or(end, |next| next - 1);
            let joined: Vec<char> = pattern[*start..stop].iter().chain(rest).copied().collect();
            self.matches(&joined, text)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn a_star_stops_at_separators_only_where_there_are_some() {
        assert!(matches("*.yaml", "a/b.yaml", &[]));
        assert!(!matches("*.yaml", "a/b.yaml", &['/']));
        assert!(matches("**.yaml", "a/b.yaml", &['/']));
        assert!(matches("https://git/*", "https://git/a", &['/']));
        assert!(!matches("https://git/*", "https://git/a/b", &['/']));
    }

    #[test]
    fn groups_sets_and_escapes_work() {
        assert!(matches("{config,env-use2/*}", "env-use2/a.yaml", &[]));
        assert!(matches("{a,b}{c,d}", "bc", &[]));
        assert!(!matches("{a,b}", "c", &[]));
        assert!(matches("[a-c]?[!x]", "b1y", &[]));
        assert!(!matches("[a-c]?[!x]", "b1x", &[]));
        assert!(matches(r"\*", "*", &[]));
        assert!(!matches(r"\*", "a", &[]));
    }

    #[test]
    fn malformed_patterns_match_nothing_and_end() {
        for pattern in ["[a", "{a", "\\", "{{{{"] {
            assert!(!matches(pattern, "a", &[]), "{pattern}");
        }
        let hostile = "*a".repeat(40);
        assert!(!matches(&hostile, &"a".repeat(39), &[]));
    }
}
