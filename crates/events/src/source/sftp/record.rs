//! What is remembered of a directory, and how it differs from what is there.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::protocol::Found;
use crate::source::files::Op;

/// Size and time of the last change, in seconds.
pub(super) type FileState = (u64, u32);

/// Files by name.
pub(super) type Files = BTreeMap<String, FileState>;

/// What survives a restart.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Record {
    /// The server, in a form that does not name it.
    pub(super) host: String,
    /// The key that it showed, as OpenSSH writes it.
    pub(super) host_key: String,
    /// The user, the directory and the names in it that are watched, in the same form.
    pub(super) place: String,
    /// Number of the comparisons that found a change: part of event ids, so that a file that comes again is a new event.
    pub(super) round: u64,
    /// The files whose changes have been published.
    pub(super) files: Files,
}

/// What happened to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) name: String,
    /// How it is now; `None` where it is gone.
    pub(super) now: Option<FileState>,
    /// It was there before.
    before: bool,
}

impl Change {
    /// Whether it is an event of this type. A file that has changed is a new one too, as upstream has it.
    pub(super) fn is(&self, op: Op) -> bool {
        match op {
            Op::Create => self.now.is_some(),
            Op::Write => self.now.is_some() && self.before,
            Op::Remove => self.now.is_none(),
            Op::Rename | Op::Chmod => false,
        }
    }

    /// Makes it part of what is known.
    pub(super) fn note(self, files: &mut Files) {
        match self.now {
            Some(state) => files.insert(self.name, state),
            None => files.remove(&self.name),
        };
    }
}

/// The changes from what is known to what is there: what is gone first.
pub(super) fn changes(known: &Files, found: &Files) -> Vec<Change> {
    let gone = known.keys().filter(|name| !found.contains_key(*name));
    let gone = gone.map(|name| Change {
        name: name.clone(),
        now: None,
        before: true,
    });
    let other = found.iter().filter_map(|(name, state)| {
        let before = known.get(name);
        (before != Some(state)).then(|| Change {
            name: name.clone(),
            now: Some(*state),
            before: before.is_some(),
        })
    });
    gone.chain(other).collect()
}

impl From<Found> for FileState {
    fn from(found: Found) -> Self {
        (found.size, found.modified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, FileState)]) -> Files {
        let owned = files
            .iter()
            .map(|(name, state)| ((*name).to_owned(), *state));
        owned.collect()
    }

    #[test]
    fn files_are_new_changed_or_gone() {
        let mut known = files(&[("gone", (1, 1)), ("grown", (1, 1)), ("same", (1, 1))]);
        let found = files(&[
            ("grown", (2, 1)),
            ("new", (0, 0)),
            ("same", (1, 1)),
            ("touched", (0, 9)),
        ]);
        known.insert("touched".to_owned(), (0, 8));
        let all = changes(&known, &found);
        let of = |op: Op| -> Vec<&str> {
            let wanted = all.iter().filter(|change| change.is(op));
            wanted.map(|change| change.name.as_str()).collect()
        };
        assert_eq!(of(Op::Create), ["grown", "new", "touched"]);
        assert_eq!(of(Op::Write), ["grown", "touched"]);
        assert_eq!(of(Op::Remove), ["gone"]);
        assert_eq!(all[0].name, "gone");
        for change in all.clone() {
            change.note(&mut known);
        }
        assert_eq!(known, found);
        assert_eq!(changes(&known, &found), []);
    }
}
