//! Steps to the members of a value.

use serde_json::Value;

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A position in a list.
    Index(usize),
    /// A field of an object.
    Key(String),
}

impl Step {
    /// The member of `value` that the step leads to.
    pub fn member<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Key(key) => value.get(key),
            Self::Index(index) => value.get(index),
        }
    }

    fn member_mut<'v>(&self, value: &'v mut Value) -> Option<&'v mut Value> {
        match self {
            Self::Key(key) => value.get_mut(key),
            Self::Index(index) => value.get_mut(index),
        }
    }
}

/// The value at a place.
pub fn find<'v>(value: &'v Value, place: &[Step]) -> Option<&'v Value> {
    place.iter().try_fold(value, |at, step| step.member(at))
}

/// Removes the value at a place. The place of the whole value, which has no steps, is left alone.
pub fn remove(value: &mut Value, place: &[Step]) {
    let Some((last, parents)) = place.split_last() else {
        return;
    };
    let parent = parents
        .iter()
        .try_fold(value, |at, step| step.member_mut(at));
    match (parent, last) {
        (Some(Value::Object(fields)), Step::Key(key)) => drop(fields.remove(key)),
        (Some(Value::Array(items)), Step::Index(index)) if *index < items.len() => {
            items.remove(*index);
        }
        _ => {}
    }
}

/// Each place once, in the order in which they must be removed: the last item of a list first.
pub fn removal_order(mut places: Vec<Vec<Step>>) -> Vec<Vec<Step>> {
    places.sort_unstable_by(|a, b| b.cmp(a));
    places.dedup();
    places
}
