//! Lua's patterns, with a budget of work: those of the C library cannot be interrupted.

/// Captures of one pattern, as in Lua.
const MOST_CAPTURES: usize = 32;
/// Calls within one another, as in Lua.
const DEEPEST: usize = 200;

/// Where a match begins and ends, and what was captured.
pub(super) struct Match {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) captures: Vec<Capture>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Capture {
    /// `(` without its `)` yet.
    Open(usize),
    /// From here, so many bytes.
    Bytes(usize, usize),
    /// `()`: a place in the text, counted from 0.
    Place(usize),
}

type Matched = Result<Option<usize>, String>;

/// Searches for the first match at or after `from`.
pub(super) fn search(
    text: &[u8],
    pattern: &[u8],
    from: usize,
    work: &mut u64,
) -> Result<Option<Match>, String> {
    let (anchored, pattern) = match pattern.split_first() {
        Some((b'^', rest)) => (true, rest),
        _ => (false, pattern),
    };
    for start in from..=text.len() {
        let mut matcher = Matcher {
            text,
            pattern,
            captures: Vec::new(),
            work,
            depth: 0,
        };
        if let Some(end) = matcher.run(start, 0)? {
            let captures = matcher.captures;
            if captures
                .iter()
                .any(|capture| matches!(capture, Capture::Open(_)))
            {
                return Err("unfinished capture".to_owned());
            }
            return Ok(Some(Match {
                start,
                end,
                captures,
            }));
        }
        if anchored {
            break;
        }
    }
    Ok(None)
}

struct Matcher<'m> {
    text: &'m [u8],
    pattern: &'m [u8],
    captures: Vec<Capture>,
    work: &'m mut u64,
    depth: usize,
}

impl Matcher<'_> {
    fn spend(&mut self, steps: usize) -> Result<(), String> {
        let steps = u64::try_from(steps).unwrap_or(u64::MAX);
        match self.work.checked_sub(steps) {
            Some(left) => {
                *self.work = left;
                Ok(())
            }
            None => Err("the pattern takes too much work".to_owned()),
        }
    }

    /// Matches the rest of the pattern at a place; gives the end.
    fn run(&mut self, at: usize, pattern: usize) -> Matched {
        if self.depth >= DEEPEST {
            return Err("pattern too complex".to_owned());
        }
        self.depth += 1;
        let matched = self.follow(at, pattern);
        self.depth -= 1;
        matched
    }

    fn follow(&mut self, mut at: usize, mut item: usize) -> Matched {
        loop {
            self.spend(1)?;
            let Some(first) = self.pattern.get(item) else {
                return Ok(Some(at));
            };
            match (first, self.pattern.get(item + 1)) {
                (b'(', Some(b')')) => return self.capture(Capture::Place(at), at, item + 2),
                (b'(', _) => return self.capture(Capture::Open(at), at, item + 1),
                (b')', _) => return self.close(at, item + 1),
                (b'$', None) => return Ok((at == self.text.len()).then_some(at)),
                (b'%', Some(b'b')) => match self.balance(at, item + 2)? {
                    Some(end) => (at, item) = (end, item + 4),
                    None => return Ok(None),
                },
                (b'%', Some(b'f')) => {
                    let end = self.class_end(item + 2)?;
                    if self.pattern.get(item + 2) != Some(&b'[') {
                        return Err("missing '[' after '%f' in pattern".to_owned());
                    }
                    let before = at.checked_sub(1).map_or(0, |before| self.text[before]);
                    let here = self.text.get(at).copied().unwrap_or(0);
                    if self.set(before, item + 2, end) || !self.set(here, item + 2, end) {
                        return Ok(None);
                    }
                    item = end;
                }
                (b'%', Some(digit)) if digit.is_ascii_digit() => {
                    let captured = self.captured(*digit)?;
                    self.spend(captured.len())?;
                    if !self.text[at..].starts_with(&captured) {
                        return Ok(None);
                    }
                    (at, item) = (at + captured.len(), item + 2);
                }
                _ => {
                    let end = self.class_end(item)?;
                    match self.pattern.get(end) {
                        Some(b'?') => {
                            if self.single(at, item, end)
                                && let Some(found) = self.run(at + 1, end + 1)?
                            {
                                return Ok(Some(found));
                            }
                            item = end + 1;
                        }
                        Some(b'*') => return self.longest(at, 0, (item, end)),
                        Some(b'+') => return self.longest(at, 1, (item, end)),
                        Some(b'-') => return self.shortest(at, (item, end)),
                        _ if self.single(at, item, end) => (at, item) = (at + 1, end),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    fn capture(&mut self, capture: Capture, at: usize, item: usize) -> Matched {
        if self.captures.len() >= MOST_CAPTURES {
            return Err("too many captures".to_owned());
        }
        let known = self.captures.len();
        self.captures.push(capture);
        let found = self.run(at, item)?;
        if found.is_none() {
            self.captures.truncate(known);
        }
        Ok(found)
    }

    fn close(&mut self, at: usize, item: usize) -> Matched {
        let open = self
            .captures
            .iter()
            .rposition(|capture| matches!(capture, Capture::Open(_)));
        let Some(index) = open else {
            return Err("invalid pattern capture".to_owned());
        };
        let before = self.captures[index];
        if let Capture::Open(start) = before {
            self.captures[index] = Capture::Bytes(start, at - start);
        }
        let found = self.run(at, item)?;
        if found.is_none() {
            self.captures[index] = before;
        }
        Ok(found)
    }

    /// The text of a capture that the pattern names again.
    fn captured(&self, digit: u8) -> Result<Vec<u8>, String> {
        let index = usize::from(digit.wrapping_sub(b'1'));
        match self.captures.get(index) {
            Some(Capture::Bytes(start, length)) => Ok(self.text[*start..start + length].to_vec()),
            _ => Err("invalid capture index".to_owned()),
        }
    }

    /// `%bxy`: the end of a balanced text.
    fn balance(&mut self, at: usize, item: usize) -> Matched {
        let (Some(open), Some(close)) = (self.pattern.get(item), self.pattern.get(item + 1)) else {
            return Err("unbalanced pattern".to_owned());
        };
        if self.text.get(at) != Some(open) {
            return Ok(None);
        }
        let (open, close) = (*open, *close);
        let mut level = 1_usize;
        for here in at + 1..self.text.len() {
            self.spend(1)?;
            if self.text[here] == close {
                level -= 1;
                if level == 0 {
                    return Ok(Some(here + 1));
                }
            } else if self.text[here] == open {
                level += 1;
            }
        }
        Ok(None)
    }

    fn longest(&mut self, at: usize, least: usize, (item, end): (usize, usize)) -> Matched {
        let mut count = 0;
        while self.single(at + count, item, end) {
            count += 1;
            self.spend(1)?;
        }
        loop {
            if count < least {
                return Ok(None);
            }
            if let Some(found) = self.run(at + count, end + 1)? {
                return Ok(Some(found));
            }
            match count.checked_sub(1) {
                Some(fewer) => count = fewer,
                None => return Ok(None),
            }
        }
    }

    fn shortest(&mut self, mut at: usize, (item, end): (usize, usize)) -> Matched {
        loop {
            if let Some(found) = self.run(at, end + 1)? {
                return Ok(Some(found));
            }
            if !self.single(at, item, end) {
                return Ok(None);
            }
            at += 1;
        }
    }

    /// Where the single character class at `item` ends.
    fn class_end(&self, item: usize) -> Result<usize, String> {
        let missing = || "malformed pattern (missing ']')".to_owned();
        match self.pattern.get(item) {
            Some(b'%') if item + 1 >= self.pattern.len() => {
                Err("malformed pattern (ends with '%')".to_owned())
            }
            Some(b'%') => Ok(item + 2),
            Some(b'[') => {
                let mut at = item + 1;
                if self.pattern.get(at) == Some(&b'^') {
                    at += 1;
                }
                loop {
                    // The first one may be a bracket.
                    let step = if *self.pattern.get(at).ok_or_else(missing)? == b'%' {
                        2
                    } else {
                        1
                    };
                    at += step;
                    if *self.pattern.get(at).ok_or_else(missing)? == b']' {
                        return Ok(at + 1);
                    }
                }
            }
            _ => Ok(item + 1),
        }
    }

    fn single(&self, at: usize, item: usize, end: usize) -> bool {
        let Some(byte) = self.text.get(at).copied() else {
            return false;
        };
        match self.pattern[item] {
            b'.' => true,
            b'%' => class(byte, self.pattern[item + 1]),
            b'[' => self.set(byte, item, end),
            other => other == byte,
        }
    }

    /// Whether the set from `item` to `end` has the byte.
    fn set(&self, byte: u8, item: usize, end: usize) -> bool {
        let mut members = &self.pattern[item + 1..end - 1];
        let negated = members.first() == Some(&b'^');
        if negated {
            members = &members[1..];
        }
        let found = loop {
            members = match members {
                [] => break false,
                [b'%', name, rest @ ..] => {
                    if class(byte, *name) {
                        break true;
                    }
                    rest
                }
                [low, b'-', high, rest @ ..] => {
                    if (*low..=*high).contains(&byte) {
                        break true;
                    }
                    rest
                }
                [only, rest @ ..] => {
                    if *only == byte {
                        break true;
                    }
                    rest
                }
            };
        };
        found != negated
    }
}

/// Whether a byte is of the class `%name`.
fn class(byte: u8, name: u8) -> bool {
    let of = match name.to_ascii_lowercase() {
        b'a' => byte.is_ascii_alphabetic(),
        b'c' => byte.is_ascii_control(),
        b'd' => byte.is_ascii_digit(),
        b'l' => byte.is_ascii_lowercase(),
        b'p' => byte.is_ascii_punctuation(),
        b's' => byte.is_ascii_whitespace() || byte == 0x0b,
        b'u' => byte.is_ascii_uppercase(),
        b'w' => byte.is_ascii_alphanumeric(),
        b'x' => byte.is_ascii_hexdigit(),
        b'z' => byte == 0,
        _ => return name == byte,
    };
    of != name.is_ascii_uppercase()
}
