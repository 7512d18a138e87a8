//! Version constraints over tags, for example `1.2.*`, `^1.4` or `>=1.0 <2`.

use std::cmp::Ordering;

/// A version; missing parts are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    numbers: [u64; 3],
    pre: String,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let text = text.split('+').next()?;
        let (numbers, pre) = text.split_once('-').unwrap_or((text, ""));
        let mut parsed = [0; 3];
        let mut count = 0;
        for (slot, part) in parsed.iter_mut().zip(numbers.split('.')) {
            *slot = part.parse().ok()?;
            count += 1;
        }
        (count == numbers.split('.').count()).then(|| Self {
            numbers: parsed,
            pre: pre.to_owned(),
        })
    }

    /// Precedence of semver 2: a pre-release comes before its release.
    fn order(&self, other: &Self) -> Ordering {
        self.numbers.cmp(&other.numbers).then_with(|| {
            match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => order_pre(&self.pre, &other.pre),
            }
        })
    }
}

fn order_pre(one: &str, two: &str) -> Ordering {
    let (mut left, mut right) = (one.split('.'), two.split('.'));
    loop {
        let (a, b) = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => (a, b),
        };
        let order = match (a.parse::<u64>(), b.parse::<u64>()) {
            (Ok(a), Ok(b)) => a.cmp(&b),
            (Ok(_), Err(_)) => Ordering::Less,
            (Err(_), Ok(_)) => Ordering::Greater,
            (Err(_), Err(_)) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// One bound: `at least` (inclusive) and `below`.
#[derive(Clone, Debug)]
enum Bound {
    Exactly(Version),
    Not(Version),
    Compare(Ordering, bool, Version),
}

/// Alternatives of bounds that must all hold.
#[derive(Clone, Debug)]
pub(super) struct Constraint {
    alternatives: Vec<Vec<Bound>>,
    /// Pre-releases count only when the constraint names one.
    pre_releases: bool,
}

impl Constraint {
    /// Parses `text`; `None` when it is no constraint. A version, also one with parts missing, is a name and no
    /// constraint.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if Version::parse(text).is_some() {
            return None;
        }
        let looks_like = text.contains(['*', '>', '<', '=', '^', '~', '|'])
            || text
                .split(['.', ' ', ','])
                .any(|part| part.eq_ignore_ascii_case("x"));
        if !looks_like {
            return None;
        }
        let alternatives = text
            .split("||")
            .map(parse_all)
            .collect::<Option<Vec<_>>>()?;
        Some(Self {
            alternatives,
            pre_releases: text.contains('-'),
        })
    }

    /// The tag with the highest version that fits.
    pub(super) fn highest<'t>(&self, tags: impl Iterator<Item = &'t str>) -> Option<&'t str> {
        tags.filter_map(|tag| Some((tag, Version::parse(tag)?)))
            .filter(|(_, version)| self.allows(version))
            .max_by(|a, b| a.1.order(&b.1))
            .map(|(tag, _)| tag)
    }

    fn allows(&self, version: &Version) -> bool {
        (self.pre_releases || version.pre.is_empty())
            && self
                .alternatives
                .iter()
                .any(|bounds| bounds.iter().all(|bound| bound.allows(version)))
    }
}

impl Bound {
    fn allows(&self, version: &Version) -> bool {
        match self {
            Self::Exactly(wanted) => version.order(wanted) == Ordering::Equal,
            Self::Not(refused) => version.order(refused) != Ordering::Equal,
            Self::Compare(order, or_equal, limit) => {
                let found = version.order(limit);
                found == *order || (*or_equal && found == Ordering::Equal)
            }
        }
    }
}

fn parse_all(text: &str) -> Option<Vec<Bound>> {
    let mut bounds = Vec::new();
    let spaced = text.replace(',', " ");
    let mut words = spaced.split_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        // Spaces may separate an operator from its version.
        let word = if word.chars().all(|c| "<>=^~!".contains(c)) {
            format!("{word}{}", words.next()?)
        } else {
            word.to_owned()
        };
        parse_one(&word, &mut bounds)?;
    }
    Some(bounds)
}

fn parse_one(word: &str, bounds: &mut Vec<Bound>) -> Option<()> {
    let at = word.find(|c: char| !"<>=^~!".contains(c))?;
    let (operator, version) = word.split_at(at);
    let (low, given) = wildcard(version)?;
    let at_least = |version: Version| Bound::Compare(Ordering::Greater, true, version);
    let below = |version: Version| Bound::Compare(Ordering::Less, false, version);
    match operator {
        ">" => bounds.push(Bound::Compare(Ordering::Greater, false, low)),
        ">=" | "=>" => bounds.push(at_least(low)),
        "<" => bounds.push(below(low)),
        "<=" | "=<" => bounds.push(Bound::Compare(Ordering::Less, true, low)),
        "!=" => bounds.push(Bound::Not(low)),
        "^" => {
            let moving = low
                .numbers
                .iter()
                .take(given)
                .position(|n| *n > 0)
                .unwrap_or(given.saturating_sub(1));
            bounds.push(below(next(&low, moving)));
            bounds.push(at_least(low));
        }
        "~" | "~>" => {
            bounds.push(below(next(&low, usize::from(given != 1))));
            bounds.push(at_least(low));
        }
        "" | "=" if given == 3 => bounds.push(Bound::Exactly(low)),
        "" | "=" => {
            if given > 0 {
                bounds.push(below(next(&low, given - 1)));
            }
            bounds.push(at_least(low));
        }
        _ => return None,
    }
    Some(())
}

/// The version with wildcards and missing parts as 0, and how many parts were given.
fn wildcard(text: &str) -> Option<(Version, usize)> {
    let is_wild = |part: &str| matches!(part, "*" | "x" | "X");
    let text = text.strip_prefix('v').unwrap_or(text);
    let given = text
        .split('-')
        .next()?
        .split('.')
        .take_while(|part| !is_wild(part))
        .count();
    let digits: Vec<&str> = text.split('.').take_while(|part| !is_wild(part)).collect();
    let version = if digits.is_empty() {
        "0".to_owned()
    } else {
        digits.join(".")
    };
    Some((Version::parse(&version)?, given.min(3)))
}

/// The smallest version that differs in the part `at`.
fn next(version: &Version, at: usize) -> Version {
    let mut numbers = [0; 3];
    numbers[..=at].copy_from_slice(&version.numbers[..=at]);
    numbers[at] = numbers[at].saturating_add(1);
    Version {
        numbers,
        pre: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::Constraint;

    fn highest(constraint: &str) -> Option<&'static str> {
        let tags = [
            "v1.0.0",
            "v1.2.3",
            "v1.3.0",
            "v2.0.0",
            "v2.1.0-rc.1",
            "latest",
            "v0.3.1",
            "v0.3.4",
        ];
        Constraint::parse(constraint)?.highest(tags.into_iter())
    }

    #[test]
    fn the_highest_fitting_tag_is_taken() {
        let cases = [
            ("*", "v2.0.0"),
            ("1.*", "v1.3.0"),
            ("1.2.x", "v1.2.3"),
            ("^1.0", "v1.3.0"),
            ("^0.3.0", "v0.3.4"),
            ("~1.2", "v1.2.3"),
            (">=1.0 <1.3", "v1.2.3"),
            (">= 1.0.0, < 2", "v1.3.0"),
            ("<1 || 2.x", "v2.0.0"),
            ("1.x", "v1.3.0"),
            (">=2.1.0-0", "v2.1.0-rc.1"),
        ];
        for (constraint, expected) in cases {
            assert_eq!(highest(constraint), Some(expected), "{constraint}");
        }
    }

    #[test]
    fn names_of_branches_and_tags_are_no_constraints() {
        for text in [
            "main",
            "v1.2.3",
            "1.2.3",
            "1",
            "v1.2",
            "2024.1",
            "release-1.x-branch",
            "feature/x",
            "HEAD",
        ] {
            assert!(Constraint::parse(text).is_none(), "{text}");
        }
    }
}
