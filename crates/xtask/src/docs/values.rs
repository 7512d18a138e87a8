//! The table of values in a chart's README, from the comments of its `values.yaml`.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, bail};

const BEGIN: &str = "<!-- values: written by `cargo xtask docs` -->\n";
const END: &str = "<!-- end of values -->\n";

/// The README of a chart with its table brought up to date.
pub(super) fn readme(root: &Path, chart: &str) -> Result<String> {
    let path = root.join("charts").join(chart);
    let read = |name: &str| {
        fs::read_to_string(path.join(name))
            .with_context(|| format!("reading charts/{chart}/{name}"))
    };
    let text = read("README.md")?;
    let (Some(begin), Some(end)) = (text.find(BEGIN), text.find(END)) else {
        bail!("charts/{chart}/README.md has no marks for the table of values");
    };
    let table = table(&read("values.yaml")?);
    Ok(format!(
        "{}{table}{}",
        &text[..begin + BEGIN.len()],
        &text[end..]
    ))
}

/// One line per value: a key with a default on its own line. A comment directly above a key is its
/// description; one above a group belongs to the group's first value only if that has none.
fn table(values: &str) -> String {
    let mut out = String::from("| value | default | |\n|---|---|---|\n");
    let mut path: Vec<(usize, String)> = Vec::new();
    let mut comment = String::new();
    for line in values.lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        if let Some(said) = text.strip_prefix('#') {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(said.trim());
            continue;
        }
        let Some((key, default)) = text.split_once(':').filter(|_| !text.starts_with('-')) else {
            comment.clear();
            continue;
        };
        path.retain(|(at, _)| *at < depth);
        path.push((depth, key.to_owned()));
        let default = default.trim();
        if default.is_empty() {
            // A group: what is said about it has its own line of the table.
            if !comment.is_empty() {
                let _ = writeln!(out, "| `{}` | | {comment} |", dotted(&path));
            }
        } else {
            let _ = writeln!(out, "| `{}` | `{default}` | {comment} |", dotted(&path));
        }
        comment.clear();
    }
    out
}

fn dotted(path: &[(usize, String)]) -> String {
    path.iter()
        .map(|(_, key)| key.as_str())
        .collect::<Vec<_>>()
        .join(".")
}

#[cfg(test)]
mod tests {
    #[test]
    fn values_carry_their_comments() {
        let values =
            "a: 1\n# What b is.\nb:\n  # first\n  # second\n  c: \"\"\n  d:\n    - x\ne: {}\n";
        assert_eq!(
            super::table(values),
            "| value | default | |\n|---|---|---|\n| `a` | `1` |  |\n| `b` | | What b is. |\n\
             | `b.c` | `\"\"` | first second |\n| `e` | `{}` |  |\n"
        );
    }
}
