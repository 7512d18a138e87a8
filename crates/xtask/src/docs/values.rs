//! The table of values in a chart's README, from the comments of its `values.yaml`.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, bail};

const BEGIN: &str = "<!-- values: written by `cargo xtask docs` -->\n";
const END: &str = "<!-- end of values -->\n";
/// The default of a list of several lines.
const LIST: &str = "[...]";
/// Ends of the paths of groups that are rendered as a whole, so that any key has an effect.
const OPEN: [&str; 6] = [
    "/configs/cm",
    "/dashboards/labels",
    "Probe",
    "/resources",
    "ecurityContext",
    "/cache/volume",
];

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

/// The paths of all values that a chart reads, one a line, for the check of values files; everything below a path belongs
/// to it.
pub(super) fn paths(root: &Path, chart: &str) -> Result<String> {
    let name = format!("charts/{chart}/values.yaml");
    let values = fs::read_to_string(root.join(&name)).with_context(|| format!("reading {name}"))?;
    let mut out = String::new();
    for entry in entries(&values) {
        let path = format!("/{}", entry.path.join("/"));
        let is_open = OPEN.iter().any(|end| path.ends_with(end));
        if is_open || !entry.is_group() {
            let _ = writeln!(out, "{path}");
        }
    }
    Ok(out)
}

/// A key of a values file.
struct Entry<'a> {
    path: Vec<&'a str>,
    /// What stands after the colon; nothing for a group, [`LIST`] for a list on lines of its own.
    default: &'a str,
    /// The comment above it.
    comment: String,
}

impl Entry<'_> {
    fn is_group(&self) -> bool {
        self.default.is_empty()
    }
}

/// The keys of a values file, those in lists apart. A comment directly above a key is its description.
fn entries(values: &str) -> Vec<Entry<'_>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    let mut path: Vec<(usize, &str)> = Vec::new();
    let mut comment = String::new();
    // How deep the key is whose list is being read.
    let mut list: Option<usize> = None;
    for line in values.lines() {
        let text = line.trim_start();
        let depth = line.len() - text.len();
        if list.is_some_and(|key| depth > key && !text.is_empty()) {
            continue;
        }
        list = None;
        if let Some(said) = text.strip_prefix('#') {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(said.trim());
            continue;
        }
        if text.starts_with('-') {
            if let Some(entry) = entries.last_mut().filter(|entry| entry.is_group()) {
                entry.default = LIST;
                list = path.last().map(|(key, _)| *key);
            }
            continue;
        }
        let Some((key, default)) = text.split_once(':') else {
            comment.clear();
            continue;
        };
        path.retain(|(at, _)| *at < depth);
        path.push((depth, key));
        entries.push(Entry {
            path: path.iter().map(|(_, key)| *key).collect(),
            default: default.trim(),
            comment: std::mem::take(&mut comment),
        });
    }
    entries
}

/// One line per value: a key with a default on its own line. What is said about a group has its own line.
fn table(values: &str) -> String {
    let mut out = String::from("| value | default | |\n|---|---|---|\n");
    for entry in entries(values) {
        let (path, comment) = (entry.path.join("."), &entry.comment);
        if !entry.is_group() {
            let _ = writeln!(out, "| `{path}` | `{}` | {comment} |", entry.default);
        } else if !comment.is_empty() {
            let _ = writeln!(out, "| `{path}` | | {comment} |");
        }
    }
    out
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
             | `b.c` | `\"\"` | first second |\n| `b.d` | `[...]` |  |\n| `e` | `{}` |  |\n"
        );
    }

    #[test]
    fn what_is_in_a_list_belongs_to_the_list() {
        let values = "a:\n  versions:\n    - name: x\n      image: y\n    - name: z\n\n  b: 1\n";
        let paths: Vec<String> = super::entries(values)
            .iter()
            .map(|entry| entry.path.join("/"))
            .collect();
        assert_eq!(paths, ["a", "a/versions", "a/b"]);
    }
}
