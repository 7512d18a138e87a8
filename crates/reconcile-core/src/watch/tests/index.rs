//! What the index makes of events and own writes in any order.

use std::sync::Arc;

use parking_lot::Mutex;

use super::{key, meta};
use crate::watch::Index;

#[test]
fn an_older_event_does_not_undo_an_own_write() {
    let index = Index::<u32>::default();
    index.written(&meta("a", "u1", 5), 1);
    index.written(&meta("a", "u1", 9), 2);
    assert!(index.written(&meta("a", "u1", 7), 3).is_none());
    assert_eq!(index.get(&key("a")).as_deref(), Some(&2));
}

#[test]
fn an_equal_value_is_no_change() {
    let index = Index::<u32>::default();
    assert!(index.written(&meta("a", "u1", 5), 1).is_some());
    assert!(index.written(&meta("a", "u1", 6), 1).is_none());
}

#[test]
fn a_late_event_does_not_bring_a_deleted_object_back() {
    let index = Index::<u32>::default();
    index.written(&meta("a", "u1", 5), 1);
    assert!(index.deleted(&key("a"), "u1").is_some());
    assert!(index.written(&meta("a", "u1", 6), 2).is_none());
    assert!(index.get(&key("a")).is_none());
    assert!(
        index.written(&meta("a", "u2", 7), 3).is_some(),
        "a new object of the name is taken"
    );
    assert!(
        index.deleted(&key("a"), "u1").is_none(),
        "a late deletion hits only its own object"
    );
    assert_eq!(index.get(&key("a")).as_deref(), Some(&3));
}

#[test]
fn a_list_removes_what_it_does_not_contain_but_not_what_was_written_meanwhile() {
    let index = Index::<u32>::default();
    index.written(&meta("kept", "u1", 1), 1);
    index.written(&meta("lost", "u2", 2), 2);
    index.begin_list();
    index.written(&meta("kept", "u1", 1), 1);
    index.written(&meta("own", "u3", 9), 3);
    let changes = index.end_list();
    let gone: Vec<_> = changes
        .iter()
        .map(|change| change.key.name.as_str())
        .collect();
    assert_eq!(gone, ["lost"]);
    assert_eq!(index.len(), 2);
}

#[test]
fn values_are_found_by_tag_until_they_lose_it() {
    let index = Index::new(|value: &&'static str| vec![(*value).to_owned()]);
    index.written(&meta("a", "u1", 1), "red");
    index.written(&meta("b", "u2", 2), "red");
    assert_eq!(index.tagged("red").len(), 2);
    index.written(&meta("a", "u1", 3), "blue");
    assert_eq!(index.tagged("red").len(), 1);
    index.deleted(&key("b"), "u2");
    assert!(index.tagged("red").is_empty());
}

#[test]
fn an_object_that_left_the_selection_may_come_back() {
    let index = Index::<u32>::default();
    index.seen(&meta("a", "u1", 5), 1);
    assert!(index.went(&meta("a", "u1", 7)).is_some());
    assert!(index.seen(&meta("a", "u1", 6), 1).is_none(), "old news");
    assert!(index.seen(&meta("a", "u1", 9), 2).is_some());
    assert_eq!(index.get(&key("a")).as_deref(), Some(&2));
}

#[test]
fn an_event_older_than_an_own_write_does_not_take_the_object_out() {
    let index = Index::<u32>::default();
    index.seen(&meta("a", "u1", 5), 1);
    index.written(&meta("a", "u1", 9), 2);
    assert!(index.went(&meta("a", "u1", 7)).is_none());
    assert_eq!(index.get(&key("a")).as_deref(), Some(&2));
}

#[test]
fn a_late_event_about_the_predecessor_of_a_name_is_dropped() {
    let index = Index::<u32>::default();
    index.seen(&meta("a", "u1", 5), 1);
    index.written(&meta("a", "u2", 20), 2);
    assert!(index.seen(&meta("a", "u1", 14), 3).is_none());
    assert!(index.went(&meta("a", "u1", 15)).is_none());
    assert_eq!(index.get(&key("a")).as_deref(), Some(&2));
}

#[test]
fn what_a_list_holds_but_cannot_be_read_is_not_gone() {
    let index = Index::<u32>::default();
    index.seen(&meta("a", "u1", 5), 1);
    index.begin_list();
    index.confirm(&meta("a", "u1", 8));
    assert!(index.end_list().is_empty());
    assert_eq!(index.get(&key("a")).as_deref(), Some(&1));
}

#[test]
fn listeners_hear_of_everything_but_what_was_dropped_on_purpose() {
    let index = Index::<u32>::default();
    let heard = Arc::<Mutex<Vec<_>>>::default();
    let ear = heard.clone();
    index.on_change(move |change| {
        ear.lock().push((
            change.old.as_deref().copied(),
            change.new.as_deref().copied(),
        ));
    });
    index.seen(&meta("a", "u1", 1), 1);
    index.written(&meta("a", "u1", 2), 2);
    index.went(&meta("a", "u1", 3));
    index.seen(&meta("b", "u2", 4), 3);
    drop(index.dropped(&key("b")));
    let expected = [
        (None, Some(1)),
        (Some(1), Some(2)),
        (Some(2), None),
        (None, Some(3)),
    ];
    assert_eq!(*heard.lock(), expected);
}

#[test]
fn own_writes_are_unsure_until_the_watch_has_them() {
    let index = Index::<u32>::default();
    let unsure = || {
        let all = index.unsure();
        all.into_iter().map(|(key, _)| key.name).collect::<Vec<_>>()
    };
    index.begin_list();
    index.seen(&meta("listed", "u1", 1), 1);
    index.written(&meta("listed", "u1", 3), 2);
    index.written(&meta("own", "u2", 2), 1);
    drop(index.end_list());
    assert_eq!(unsure(), ["own"]);
    index.seen(&meta("own", "u2", 2), 1);
    assert_eq!(unsure(), [""; 0]);
}
