//! Text functions.

use gotmpl::Value;

use super::args::{Args, Outcome, go_string, strings, text, texts};
use super::cases::{pascal, swap_case, title, untitle, words};
use super::{ANY, ELEMENT_SIZE, Function, charge, function};
use crate::go_text;

pub(super) const FUNCTIONS: &[Function] = &[
    function("trim", 1, 1, |a| Ok(text(a.str(0)?.trim()))),
    function("upper", 1, 1, |a| Ok(text(a.str(0)?.to_uppercase()))),
    function("lower", 1, 1, |a| Ok(text(a.str(0)?.to_lowercase()))),
    function("title", 1, 1, |a| Ok(text(title(a.str(0)?)))),
    function("untitle", 1, 1, |a| Ok(text(untitle(a.str(0)?)))),
    function("swapcase", 1, 1, |a| Ok(text(swap_case(a.str(0)?)))),
    function("snakecase", 1, 1, |a| Ok(text(words(a.str(0)?, '_')))),
    function("kebabcase", 1, 1, |a| Ok(text(words(a.str(0)?, '-')))),
    function("camelcase", 1, 1, |a| Ok(text(pascal(a.str(0)?)))),
    function("nospace", 1, 1, |a| {
        Ok(text(
            a.str(0)?
                .chars()
                .filter(|c| !c.is_whitespace())
                .collect::<String>(),
        ))
    }),
    function("initials", 1, 1, |a| {
        Ok(text(
            a.str(0)?
                .split_whitespace()
                .filter_map(|w| w.chars().next())
                .collect::<String>(),
        ))
    }),
    function("trimAll", 2, 2, trim_all),
    function("trimall", 2, 2, trim_all),
    function("trimPrefix", 2, 2, |a| {
        let subject = a.str(1)?;
        Ok(text(subject.strip_prefix(a.str(0)?).unwrap_or(subject)))
    }),
    function("trimSuffix", 2, 2, |a| {
        let subject = a.str(1)?;
        Ok(text(subject.strip_suffix(a.str(0)?).unwrap_or(subject)))
    }),
    function("contains", 2, 2, |a| {
        Ok(Value::Bool(a.str(1)?.contains(a.str(0)?)))
    }),
    function("hasPrefix", 2, 2, |a| {
        Ok(Value::Bool(a.str(1)?.starts_with(a.str(0)?)))
    }),
    function("hasSuffix", 2, 2, |a| {
        Ok(Value::Bool(a.str(1)?.ends_with(a.str(0)?)))
    }),
    function("repeat", 2, 2, repeat),
    function("replace", 3, 3, replace),
    function("substr", 3, 3, substr),
    function("trunc", 2, 2, |a| Ok(text(trunc(a.int(0)?, a.str(1)?)))),
    function("abbrev", 2, 2, |a| {
        Ok(text(abbreviate(a.str(1)?, 0, a.int(0)?)))
    }),
    function("abbrevboth", 3, 3, |a| {
        let (left, right) = (a.int(0)?, a.int(1)?);
        if left > 0 && right < 7 {
            return Ok(a.any(2).clone());
        }
        Ok(text(abbreviate(a.str(2)?, left, right)))
    }),
    function("wrap", 2, 2, |a| {
        Ok(text(wrap(a.str(1)?, a.int(0)?, "\n", LongWords::Whole)?))
    }),
    function("wrapWith", 3, 3, |a| {
        Ok(text(wrap(a.str(2)?, a.int(0)?, a.str(1)?, LongWords::Cut)?))
    }),
    function("quote", 0, ANY, |a| {
        Ok(text(joined(a, |value| go_text::quote(&go_string(value)))))
    }),
    function("squote", 0, ANY, |a| {
        Ok(text(joined(a, |value| format!("'{}'", go_string(value)))))
    }),
    function("cat", 0, ANY, |a| Ok(text(joined(a, go_string)))),
    function("indent", 2, 2, |a| indent(a).map(text)),
    function("nindent", 2, 2, |a| Ok(text(format!("\n{}", indent(a)?)))),
    function("plural", 3, 3, |a| {
        Ok(text(if a.int(2)? == 1 { a.str(0)? } else { a.str(1)? }))
    }),
    function("toString", 1, 1, |a| Ok(text(go_string(a.any(0))))),
    function("toStrings", 1, 1, |a| Ok(texts(strings(a.any(0))))),
    function("splitList", 2, 2, |a| {
        Ok(texts(split(a.str(1)?, a.str(0)?, -1)?))
    }),
    function("split", 2, 2, |a| {
        Ok(numbered(split(a.str(1)?, a.str(0)?, -1)?))
    }),
    function("splitn", 3, 3, |a| {
        Ok(numbered(split(a.str(2)?, a.str(0)?, a.int(1)?)?))
    }),
    function("join", 2, 2, |a| {
        let (glue, parts) = (a.str(0)?, strings(a.any(1)));
        charge(parts.len().saturating_mul(glue.len()))?;
        Ok(text(parts.join(glue)))
    }),
    function("base", 1, 1, |a| Ok(text(base(a.str(0)?)))),
    function("dir", 1, 1, |a| Ok(text(dir(a.str(0)?)))),
    function("clean", 1, 1, |a| Ok(text(clean(a.str(0)?)))),
    function("ext", 1, 1, |a| {
        let path = a.str(0)?;
        let name = path.rsplit('/').next().unwrap_or_default();
        Ok(text(name.rfind('.').map_or("", |dot| &name[dot..])))
    }),
    function("isAbs", 1, 1, |a| {
        Ok(Value::Bool(a.str(0)?.starts_with('/')))
    }),
];

fn joined(args: &Args<'_>, show: impl Fn(&Value) -> String) -> String {
    let shown = args
        .values
        .iter()
        .filter(|v| !matches!(v, Value::Nil))
        .map(show);
    shown.collect::<Vec<_>>().join(" ")
}

fn trim_all(args: &Args<'_>) -> Outcome {
    let set = args.str(0)?;
    Ok(text(args.str(1)?.trim_matches(|c| set.contains(c))))
}

fn repeat(args: &Args<'_>) -> Outcome {
    let (count, subject) = (args.int(0)?, args.str(1)?);
    let count = usize::try_from(count).map_err(|_| "negative repeat count".to_owned())?;
    charge(subject.len().saturating_mul(count))?;
    Ok(text(subject.repeat(count)))
}

fn replace(args: &Args<'_>) -> Outcome {
    let (old, new, subject) = (args.str(0)?, args.str(1)?, args.str(2)?);
    let times = if old.is_empty() {
        subject.len() + 1
    } else {
        subject.len() / old.len()
    };
    charge(times.saturating_mul(new.len()))?;
    Ok(text(subject.replace(old, new)))
}

/// Bytes `from..to` of a text. A cut inside of a character, which Go makes, gives U+FFFD here.
fn bytes(subject: &str, from: usize, to: usize) -> Option<String> {
    subject
        .as_bytes()
        .get(from..to)
        .map(|b| String::from_utf8_lossy(b).into_owned())
}

fn substr(args: &Args<'_>) -> Outcome {
    let (start, end, subject) = (args.int(0)?, args.int(1)?, args.str(2)?);
    let (from, to) = match (usize::try_from(start), usize::try_from(end)) {
        (Err(_), Ok(end)) => (0, end),
        (Err(_), Err(_)) => return Err("slice bounds out of range".to_owned()),
        (Ok(start), Ok(end)) if end <= subject.len() => (start, end),
        (Ok(start), _) => (start, subject.len()),
    };
    bytes(subject, from, to)
        .map(text)
        .ok_or_else(|| "slice bounds out of range".to_owned())
}

fn trunc(count: i64, subject: &str) -> String {
    let length = subject.len();
    let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
    let cut = if wanted >= length {
        None
    } else if count < 0 {
        bytes(subject, length - wanted, length)
    } else {
        bytes(subject, 0, wanted)
    };
    cut.unwrap_or_else(|| subject.to_owned())
}

/// Shortens to `width` with `...` at the cut ends, keeping what is around `offset`.
fn abbreviate(subject: &str, offset: i64, width: i64) -> String {
    let length = subject.len();
    let Ok(width) = usize::try_from(width) else {
        return subject.to_owned();
    };
    if width < 4 || length <= width {
        return subject.to_owned();
    }
    let mut offset = usize::try_from(offset).unwrap_or(0).min(length);
    if length - offset < width - 3 {
        offset = length - (width - 3);
    }
    let part = |from, to| bytes(subject, from, to).unwrap_or_default();
    if offset <= 4 {
        return part(0, width - 3) + "...";
    }
    if width < 7 {
        return String::new();
    }
    if offset + width - 3 < length {
        return format!(
            "...{}",
            abbreviate(&part(offset, length), 0, (width - 3).cast_signed() as i64)
        );
    }
    format!("...{}", part(length - (width - 3), length))
}

/// What becomes of words that are longer than a line.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LongWords {
    Whole,
    Cut,
}

/// Breaks lines at spaces so that they have at most `width` bytes.
fn wrap(subject: &str, width: i64, line_end: &str, words: LongWords) -> Result<String, String> {
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    charge(subject.len().saturating_mul(1 + line_end.len()))?;
    let line_end = if line_end.is_empty() { "\n" } else { line_end };
    let mut out = Vec::new();
    let mut rest = subject.as_bytes();
    while rest.len() > width {
        if rest[0] == b' ' {
            rest = &rest[1..];
            continue;
        }
        let last_space = rest[..=width].iter().rposition(|b| *b == b' ');
        let (line, next) = match last_space {
            Some(space) => (space, space + 1),
            None if words == LongWords::Cut => (width, width),
            None => match rest[width..].iter().position(|b| *b == b' ') {
                Some(space) => (width + space, width + space + 1),
                None => break,
            },
        };
        out.extend_from_slice(&rest[..line]);
        out.extend_from_slice(line_end.as_bytes());
        rest = &rest[next..];
    }
    out.extend_from_slice(rest);
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn indent(args: &Args<'_>) -> Result<String, String> {
    let (spaces, subject) = (args.int(0)?, args.str(1)?);
    let spaces = usize::try_from(spaces).map_err(|_| "negative repeat count".to_owned())?;
    charge(spaces.saturating_mul(1 + subject.matches('\n').count()))?;
    let pad = " ".repeat(spaces);
    Ok(format!(
        "{pad}{}",
        subject.replace('\n', &format!("\n{pad}"))
    ))
}

/// Go's `strings.SplitN`.
fn split(subject: &str, separator: &str, limit: i64) -> Result<Vec<String>, String> {
    if limit == 0 {
        return Ok(Vec::new());
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let most = if separator.is_empty() {
        subject.chars().count()
    } else {
        subject.matches(separator).count() + 1
    };
    charge(most.min(limit).saturating_mul(ELEMENT_SIZE))?;
    if !separator.is_empty() {
        let parts = subject.splitn(limit, separator);
        return Ok(parts.map(str::to_owned).collect());
    }
    let mut parts: Vec<String> = Vec::new();
    for (at, c) in subject.char_indices() {
        if parts.len() + 1 == limit {
            parts.push(subject[at..].to_owned());
            break;
        }
        parts.push(c.to_string());
    }
    Ok(parts)
}

/// The map `_0`, `_1`, ... that `split` gives.
fn numbered(parts: Vec<String>) -> Value {
    let named = parts.into_iter().enumerate();
    super::args::map(
        named
            .map(|(i, part)| (format!("_{i}").into(), text(part)))
            .collect(),
    )
}

/// Go's `path.Clean`.
fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".to_owned(),
        (false, joined) => joined,
    }
}

fn base(path: &str) -> &str {
    if path.is_empty() {
        return ".";
    }
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() {
        "/"
    } else {
        trimmed.rsplit('/').next().unwrap_or(trimmed)
    }
}

fn dir(path: &str) -> String {
    clean(path.rfind('/').map_or("", |slash| &path[..=slash]))
}
