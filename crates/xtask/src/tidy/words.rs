//! Words of a private dialect that plain English replaces: see docs/style.md.

use std::collections::BTreeMap;

/// Word and what to write instead.
const WORDS: [(&str, &str); 18] = [
    ("anew", "again"),
    ("in vain", "without result, or say what failed"),
    ("goes on", "continues, recovers"),
    ("what acts", "name the component"),
    ("has none of", "has no"),
    ("could not be had", "cannot read X: reason"),
    ("told", "say who reports, logs or notifies"),
    ("is away", "is unreachable, is not connected"),
    ("was away", "was unreachable, was not connected"),
    ("looked at", "reconciled, checked, read"),
    ("looked after", "reconciled, watched"),
    ("look after", "reconcile, watch"),
    ("in the way", "the reason itself"),
    ("go on", "continue"),
    ("given back", "released, restored, returned"),
    ("gives back", "releases, restores, returns"),
    ("heard of", "seen, received"),
    ("parked", "stored, dead-lettered"),
];

/// Lines with such words that are left in the code of a crate. Only ever lower these.
pub(super) const LEFT: &[(&str, usize)] = &[
    ("crates/argo-cd-lite", 0),
    ("crates/events", 0),
    ("crates/reconcile-core", 0),
    ("crates/rollouts", 0),
];

/// Files that list the words themselves.
const LISTS: [&str; 3] = [
    "crates/xtask/src/tidy/words.rs",
    "crates/xtask/src/tidy/tests.rs",
    "docs/style.md",
];

/// Collects complaints over the whole tree, because they are counted per crate.
#[derive(Default)]
pub(super) struct Words {
    found: BTreeMap<String, Vec<String>>,
}

impl Words {
    /// Looks through one file; texts and comments count alike, code cannot contain the words.
    pub(super) fn read(&mut self, path: &str, text: &str) {
        if LISTS.contains(&path) {
            return;
        }
        let mut parts = path.split('/');
        let area = match (parts.next(), parts.next()) {
            (Some("crates"), Some(name)) => format!("crates/{name}"),
            (first, _) => first.unwrap_or_default().to_owned(),
        };
        for (number, line) in text.lines().enumerate() {
            for (word, instead) in WORDS {
                if contains(line, word) {
                    let complaint = format!(
                        "{path}:{}: write plain English instead of \"{word}\": {instead}",
                        number + 1
                    );
                    self.found.entry(area.clone()).or_default().push(complaint);
                }
            }
        }
    }

    /// Complaints of every crate that has more of them than its limit.
    pub(super) fn complaints(self, limits: &[(&str, usize)]) -> Vec<String> {
        self.found
            .into_iter()
            .filter(|(area, found)| {
                let left = limits.iter().find(|(name, _)| name == area);
                found.len() > left.map_or(0, |(_, count)| *count)
            })
            .flat_map(|(_, found)| found)
            .collect()
    }
}

fn contains(line: &str, word: &str) -> bool {
    let is_letter = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(is_letter) && !line[at + word.len()..].starts_with(is_letter)
    })
}
