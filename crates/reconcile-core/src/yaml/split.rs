//! Splits a stream at lines that begin with `---`, as Kubernetes' readers do before they parse.
//!
//! Splitting first keeps an error to the document that has it, and gives anchors their scope.

use super::YamlError;

/// The text of one document.
pub(super) struct Piece<'t> {
    /// From 1.
    pub(super) index: usize,
    /// Line of its first line in the stream, from 1.
    pub(super) line: usize,
    pub(super) text: &'t str,
}

const SEPARATOR: &str = "---";

pub(super) fn pieces(text: &str) -> Result<Vec<Piece<'_>>, YamlError> {
    let mut found = Vec::new();
    let (mut start, mut start_line, mut at) = (0, 1, 0);
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let begins = at;
        at += line.len();
        // A separator at the very beginning, or after `%YAML`, belongs to the document it opens.
        let Some(rest) = line.strip_prefix(SEPARATOR) else {
            continue;
        };
        if begins == 0 || holds_only_directives(&text[start..begins]) {
            continue;
        }
        let rest = rest.trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            return Err(YamlError {
                document: found.len() + 1,
                line: number + 1,
                message: format!(
                    "only a comment may follow the document separator, found {rest:?}"
                ),
                limit: false,
            });
        }
        found.push(Piece {
            index: found.len() + 1,
            line: start_line,
            text: &text[start..begins],
        });
        (start, start_line) = (at, number + 2);
    }
    found.push(Piece {
        index: found.len() + 1,
        line: start_line,
        text: &text[start..],
    });
    Ok(found)
}

fn holds_only_directives(text: &str) -> bool {
    let mut lines = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .peekable();
    lines.peek().is_some_and(|line| line.starts_with('%'))
        && lines.all(|line| line.starts_with(['%', '#']))
}
