//! Capitals, and the words that they separate.

/// Upper case for the first letter of each word; letters, digits and `_` make words.
pub(super) fn title(subject: &str) -> String {
    let mut previous = ' ';
    let mut out = String::with_capacity(subject.len());
    for c in subject.chars() {
        let separated = if previous.is_ascii() {
            !(previous.is_ascii_alphanumeric() || previous == '_')
        } else {
            previous.is_whitespace()
        };
        if separated {
            out.extend(c.to_uppercase());
        } else {
            out.push(c);
        }
        previous = c;
    }
    out
}

pub(super) fn untitle(subject: &str) -> String {
    let mut previous = ' ';
    let mut out = String::with_capacity(subject.len());
    for c in subject.chars() {
        if previous.is_whitespace() {
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
        previous = c;
    }
    out
}

pub(super) fn swap_case(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    for c in subject.chars() {
        if c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else {
            out.extend(c.to_uppercase());
        }
    }
    out
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || c.is_whitespace()
}

/// `snakecase` and `kebabcase`: words in lower case, joined by `connector`. A word starts at a
/// capital after a small letter, at the last capital of several before a small letter, and where
/// digits start.
pub(super) fn words(subject: &str, connector: char) -> String {
    let chars: Vec<char> = subject.chars().collect();
    let mut out = String::with_capacity(subject.len() + 8);
    for (at, c) in chars.iter().enumerate() {
        if is_connector(*c) {
            out.push(connector);
            continue;
        }
        let before = at.checked_sub(1).map(|i| chars[i]);
        let next = chars.get(at + 1);
        let starts_word = before.is_some_and(|before| {
            (c.is_uppercase() && before.is_lowercase())
                || (c.is_uppercase()
                    && before.is_uppercase()
                    && next.is_some_and(|next| next.is_lowercase()))
                || (c.is_uppercase() && before.is_numeric())
                || (c.is_numeric()
                    && before.is_alphabetic()
                    && chars[at..]
                        .iter()
                        .find(|c| !c.is_numeric())
                        .is_some_and(|c| c.is_lowercase()))
        });
        if starts_word {
            out.push(connector);
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// `camelcase`: words joined with a capital at the start of each.
pub(super) fn pascal(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    let mut at_start = true;
    let mut in_capitals = false;
    for c in subject.chars() {
        if is_connector(c) {
            at_start = true;
            continue;
        }
        if at_start {
            in_capitals = c.is_uppercase();
            out.extend(c.to_uppercase());
            at_start = false;
        } else if in_capitals && c.is_uppercase() {
            out.extend(c.to_lowercase());
        } else {
            in_capitals = false;
            out.push(c);
        }
    }
    out
}
