//! The ledgers speak about every field, and about nothing else.

use super::compatibility::{page, without_field, without_verdict};
use crate::kinds;

#[test]
fn every_field_of_every_kind_has_a_verdict() {
    let missing = without_verdict(&kinds::all().expect("good tables"));
    assert!(
        missing.is_empty(),
        "{} fields:\n{}",
        missing.len(),
        missing.join("\n")
    );
}

#[test]
fn no_ledger_names_a_field_that_does_not_exist() {
    let stray = without_field(&kinds::all().expect("good tables"));
    assert!(
        stray.is_empty(),
        "{} rows:\n{}",
        stray.len(),
        stray.join("\n")
    );
}

#[test]
fn the_page_has_a_section_for_each_kind() {
    let kinds = kinds::all().expect("good tables");
    let page = page(&kinds);
    for kind in &kinds {
        assert!(
            page.contains(&format!("\n## {}\n", kind.name)),
            "{}",
            kind.name
        );
    }
}
