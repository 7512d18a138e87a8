//! One step of a path: a key, an index, or a pattern of keys.

/// What follows a component.
pub(super) enum Next<'p> {
    End,
    /// After a dot: the rest applies to the value, or to each value of a list of matches.
    Dot(&'p str),
    /// After a pipe: the rest applies to the result as a whole.
    Pipe(&'p str),
}

/// One key or index of a path.
pub(super) struct Component<'p> {
    pattern: Vec<Glyph>,
    pub(super) has_wildcard: bool,
    pub(super) next: Next<'p>,
    text: String,
}

enum Glyph {
    Char(char),
    Any,
    One,
}

impl<'p> Component<'p> {
    pub(super) fn parse(path: &'p str) -> Self {
        let mut pattern = Vec::new();
        let mut text = String::new();
        let mut has_wildcard = false;
        let mut chars = path.char_indices();
        let mut next = Next::End;
        while let Some((at, c)) = chars.next() {
            match c {
                '\\' => {
                    if let Some((_, c)) = chars.next() {
                        pattern.push(Glyph::Char(c));
                        text.push(c);
                    }
                    continue;
                }
                '.' => {
                    next = Next::Dot(&path[at + 1..]);
                    break;
                }
                '|' => {
                    next = Next::Pipe(&path[at + 1..]);
                    break;
                }
                '*' => pattern.push(Glyph::Any),
                '?' => pattern.push(Glyph::One),
                c => pattern.push(Glyph::Char(c)),
            }
            has_wildcard |= matches!(c, '*' | '?');
            text.push(c);
        }
        Self {
            pattern,
            has_wildcard,
            next,
            text,
        }
    }

    pub(super) fn rest(&self) -> Option<&'p str> {
        match self.next {
            Next::End => None,
            Next::Dot(rest) | Next::Pipe(rest) => Some(rest),
        }
    }

    /// The component, when it has no wildcard.
    pub(super) fn plain(&self) -> Option<&str> {
        (!self.has_wildcard).then_some(&self.text)
    }

    pub(super) fn matches(&self, key: &str) -> bool {
        if !self.has_wildcard {
            return key == self.text;
        }
        glob(&self.pattern, key)
    }
}

/// Wildcard match with one point of return, so that it takes at most quadratic time.
fn glob(pattern: &[Glyph], key: &str) -> bool {
    let key: Vec<char> = key.chars().collect();
    let (mut p, mut k) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while k < key.len() {
        match pattern.get(p) {
            Some(Glyph::Any) => {
                back = Some((p + 1, k));
                p += 1;
                continue;
            }
            Some(Glyph::One) => {
                p += 1;
                k += 1;
                continue;
            }
            Some(Glyph::Char(c)) if *c == key[k] => {
                p += 1;
                k += 1;
                continue;
            }
            _ => {}
        }
        match back {
            Some((after, from)) => {
                back = Some((after, from + 1));
                p = after;
                k = from + 1;
            }
            None => return false,
        }
    }
    pattern[p..].iter().all(|glyph| matches!(glyph, Glyph::Any))
}

/// Wildcard match of a pattern in text form (`%` in queries).
pub(super) fn matches_pattern(pattern: &str, text: &str) -> bool {
    let mut glyphs = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        glyphs.push(match c {
            '*' => Glyph::Any,
            '?' => Glyph::One,
            '\\' => Glyph::Char(chars.next().unwrap_or('\\')),
            c => Glyph::Char(c),
        });
    }
    glob(&glyphs, text)
}
