//! Reads patterns; what the dialects differ in is data.

use std::{iter::Peekable, str::Chars};

use super::program::{Class, Program};

/// The rules of a dialect.
pub(super) struct Dialect<'a> {
    /// What `*` and `?` do not match.
    pub separators: &'a [char],
    /// What several stars mean.
    pub stars: Stars,
    /// `{a,b}` are alternatives.
    pub braces: bool,
    /// What brackets may contain.
    pub classes: Classes,
}

/// What several stars mean.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stars {
    /// As one star.
    NeverMatchSeparators,
    /// Any text.
    TwoMatchSeparators,
    /// Any number of path components where they stand alone between separators, else as one star.
    TwoMatchComponents,
}

/// What brackets may contain.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Classes {
    /// `[abc]` or one range `[a-z]`; `!` negates.
    OneRange,
    /// Any mixture; `^` negates.
    Go,
    /// Any mixture; `^` and `!` negate; separators never match.
    GoWithoutSeparators,
}

struct Reader<'p, 'd> {
    chars: Peekable<Chars<'p>>,
    dialect: &'d Dialect<'d>,
    program: Program,
}

/// Compiles a pattern; an error is the reason why it is none.
pub(super) fn compile(pattern: &str, dialect: &Dialect<'_>) -> Result<Program, &'static str> {
    let mut reader = Reader {
        chars: pattern.chars().peekable(),
        dialect,
        program: Program::default(),
    };
    let mut groups = Vec::new();
    // Nothing of the current path component has been read.
    let mut component_start = true;
    while let Some(c) = reader.chars.next() {
        let at_start = std::mem::take(&mut component_start);
        match c {
            '\\' => reader.escape()?,
            '*' => component_start = reader.stars(at_start),
            '?' => {
                let class = reader.single();
                reader.program.take(class);
            }
            '[' => {
                let class = reader.class()?;
                reader.program.take(class);
            }
            '{' if dialect.braces => {
                groups.push(reader.program.open());
                component_start = at_start;
            }
            ',' if dialect.braces && !groups.is_empty() => {
                if let Some(group) = groups.last_mut() {
                    reader.program.next(group);
                }
                component_start = true;
            }
            '}' if dialect.braces && !groups.is_empty() => {
                if let Some(group) = groups.pop() {
                    reader.program.close(group);
                }
            }
            '/' if dialect.stars == Stars::TwoMatchComponents => {
                component_start = true;
                reader.slash();
            }
            c => reader.program.literal(c),
        }
    }
    if groups.is_empty() {
        Ok(reader.program)
    } else {
        Err("`{` is not closed")
    }
}

impl Reader<'_, '_> {
    fn escape(&mut self) -> Result<(), &'static str> {
        match self.chars.next() {
            Some(c) => self.program.literal(c),
            // gobwas/glob ignores a backslash at the end.
            None if self.dialect.classes == Classes::OneRange => {}
            None => return Err("nothing to escape"),
        }
        Ok(())
    }

    /// Any character that is no separator.
    fn single(&self) -> Class {
        Class {
            ranges: self.dialect.separators.iter().map(|c| (*c, *c)).collect(),
            negated: true,
        }
    }

    fn any() -> Class {
        Class {
            ranges: Vec::new(),
            negated: true,
        }
    }

    /// One or more stars, the first of which is read; true when they took the separator behind them.
    fn stars(&mut self, at_start: bool) -> bool {
        let mut several = false;
        while self.chars.next_if_eq(&'*').is_some() {
            several = true;
        }
        let class = match self.dialect.stars {
            Stars::TwoMatchSeparators if several => Self::any(),
            Stars::TwoMatchComponents if several && at_start => match self.chars.peek() {
                None | Some(',' | '}') => Self::any(),
                Some('/') => {
                    self.chars.next();
                    let mut group = self.program.open();
                    self.program.repeat(Self::any());
                    self.program.literal('/');
                    self.program.next(&mut group);
                    self.program.close(group);
                    return true;
                }
                Some(_) => self.single(),
            },
            _ => self.single(),
        };
        self.program.repeat(class);
        false
    }

    /// A separator; `/**` at the end of a pattern matches the folder itself too.
    fn slash(&mut self) {
        let mut rest = self.chars.clone();
        if rest.next() == Some('*') && rest.next() == Some('*') && rest.next().is_none() {
            self.chars = rest;
            let mut group = self.program.open();
            self.program.literal('/');
            self.program.repeat(Self::any());
            self.program.next(&mut group);
            self.program.close(group);
        } else {
            self.program.literal('/');
        }
    }

    /// The inside of brackets, the first of which is read.
    fn class(&mut self) -> Result<Class, &'static str> {
        let negations: &[char] = match self.dialect.classes {
            Classes::OneRange => &['!'],
            Classes::Go => &['^'],
            Classes::GoWithoutSeparators => &['^', '!'],
        };
        let negated = self.chars.next_if(|c| negations.contains(c)).is_some();
        let mut class = Class {
            ranges: Vec::new(),
            negated,
        };
        if self.dialect.classes == Classes::OneRange {
            self.one_range(&mut class)?;
        } else {
            self.mixture(&mut class)?;
        }
        if self.dialect.classes == Classes::GoWithoutSeparators && class.contains('/') {
            // Only a negated class contains a separator that it does not list by mistake.
            if negated {
                class.ranges.push(('/', '/'));
            } else {
                class.ranges = class
                    .ranges
                    .iter()
                    .copied()
                    .flat_map(without_slash)
                    .collect();
            }
        }
        Ok(class)
    }

    /// Characters, or one range and nothing else.
    fn one_range(&mut self, class: &mut Class) -> Result<(), &'static str> {
        let mut members = Vec::new();
        loop {
            match self.chars.next().ok_or("`[` is not closed")? {
                ']' => break,
                '\\' => members.push(self.chars.next().ok_or("nothing to escape")?),
                c => members.push(c),
            }
        }
        match members.as_slice() {
            [] => return Err("`[]` is empty"),
            [low, '-', high] if low > high => return Err("the range goes backwards"),
            [low, '-', high] => class.ranges.push((*low, *high)),
            [_, '-', ..] => return Err("a range must be alone in its brackets"),
            members => class.ranges.extend(members.iter().map(|c| (*c, *c))),
        }
        Ok(())
    }

    /// Characters and ranges in any order.
    fn mixture(&mut self, class: &mut Class) -> Result<(), &'static str> {
        while class.ranges.is_empty() || self.chars.next_if_eq(&']').is_none() {
            let low = self.member()?;
            let high = match self.chars.next_if_eq(&'-') {
                Some(_) => self.member()?,
                None => low,
            };
            if low > high && self.dialect.classes != Classes::Go {
                return Err("the range goes backwards");
            }
            class.ranges.push((low, high));
        }
        Ok(())
    }

    fn member(&mut self) -> Result<char, &'static str> {
        match self.chars.next().ok_or("`[` is not closed")? {
            '-' => Err("`-` must be escaped in brackets"),
            ']' => Err("`[]` is empty"),
            '\\' => self.chars.next().ok_or("nothing to escape"),
            c => Ok(c),
        }
    }
}

/// A range without the separator.
fn without_slash((low, high): (char, char)) -> Vec<(char, char)> {
    [(low, high.min('.')), (low.max('0'), high)]
        .into_iter()
        .filter(|(low, high)| low <= high)
        .collect()
}
