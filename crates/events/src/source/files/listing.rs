//! What is in a folder, and how two looks at it differ.

use std::collections::{BTreeMap, HashMap};

use super::Op;

/// Files of a folder that are compared; one with more is refused.
pub(super) const MOST: usize = 10_000;

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Bytes.
    pub(super) size: u64,
    /// Nanoseconds.
    pub(super) modified: i64,
    pub(super) mode: u32,
    /// Number of the file, which stays when it is renamed.
    pub(super) number: u64,
}

/// Files by name.
pub(super) type Listing = BTreeMap<String, Seen>;

/// A change of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub(super) op: Op,
    pub(super) name: String,
}

/// The changes from one look to the next: what is gone first.
pub(super) fn changes(before: &Listing, after: &Listing) -> Vec<Change> {
    let change = |op: Op, name: &str| Change {
        op,
        name: name.to_owned(),
    };
    let fresh = after.iter().filter(|(name, _)| !before.contains_key(*name));
    let numbers: HashMap<u64, &Seen> = fresh.clone().map(|(_, seen)| (seen.number, seen)).collect();
    let mut all = Vec::new();
    for (name, seen) in before.iter().filter(|(name, _)| !after.contains_key(*name)) {
        // The same file under another name, unless its number was given away again.
        let moved = numbers.get(&seen.number);
        let moved = moved.is_some_and(|new| new.modified == seen.modified && new.size == seen.size);
        all.push(change(if moved { Op::Rename } else { Op::Remove }, name));
    }
    all.extend(fresh.map(|(name, _)| change(Op::Create, name)));
    for (name, new) in after {
        let Some(old) = before.get(name) else {
            continue;
        };
        if (old.size, old.modified) != (new.size, new.modified) {
            all.push(change(Op::Write, name));
        }
        if old.mode != new.mode {
            all.push(change(Op::Chmod, name));
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(files: &[(&str, [u64; 3])]) -> Listing {
        let seen = |[number, size, mode]: [u64; 3]| Seen {
            size,
            modified: 1,
            mode: u32::try_from(mode).expect("small"),
            number,
        };
        files
            .iter()
            .map(|(name, file)| ((*name).to_owned(), seen(*file)))
            .collect()
    }

    #[test]
    fn each_kind_of_change_is_seen() {
        let before = listing(&[
            ("gone", [1, 1, 6]),
            ("old", [2, 2, 6]),
            ("same", [3, 3, 6]),
            ("grown", [4, 4, 6]),
            ("mode", [5, 5, 6]),
        ]);
        let after = listing(&[
            ("new", [2, 2, 6]),
            // The number of a file that is gone.
            ("fresh", [1, 9, 6]),
            ("same", [3, 3, 6]),
            ("grown", [4, 5, 6]),
            ("mode", [5, 5, 7]),
        ]);
        let found: Vec<(Op, String)> = changes(&before, &after)
            .into_iter()
            .map(|change| (change.op, change.name))
            .collect();
        let expected = [
            (Op::Remove, "gone"),
            (Op::Rename, "old"),
            (Op::Create, "fresh"),
            (Op::Create, "new"),
            (Op::Write, "grown"),
            (Op::Chmod, "mode"),
        ];
        let expected = expected.map(|(op, name)| (op, name.to_owned()));
        assert_eq!(found, expected);
        assert_eq!(changes(&after, &after), []);
    }
}
