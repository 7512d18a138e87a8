//! The pure edit of a flag definition.

use serde_json::{Value, json};

use super::FlagKey;

/// A step that edits a flag.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagStep {
    /// The flag.
    pub at: FlagKey,
    /// The variant of the new version.
    pub variant: String,
    /// Who gets the variant.
    pub change: FlagChange,
}

/// Who gets a variant.
#[derive(Clone, Debug, PartialEq)]
pub enum FlagChange {
    /// This share of all, from 0 to 100.
    Percentage(i32),
    /// Those in any of these segments.
    Segments(Vec<Segment>),
}

/// A segment of users.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// The attribute of the evaluation context.
    pub attribute: String,
    /// What the attribute must be.
    pub test: SegmentTest,
}

/// What an attribute must be.
#[derive(Clone, Debug, PartialEq)]
pub enum SegmentTest {
    /// One of these.
    Values(Vec<Value>),
    /// A text that begins so.
    StartsWith(String),
    /// A text that ends so.
    EndsWith(String),
}

/// The definition of a flag after `steps`, which all edit it: the last percentage and the last segments
/// count, so that a segment keeps the variant while the share grows. What the flag says of other users
/// stays. `before` is the definition that stood there before the first edit.
pub fn edited(before: &Value, steps: &[&FlagStep]) -> Value {
    let Some(variant) = steps.last().map(|step| step.variant.as_str()) else {
        return before.clone();
    };
    let of_variant = || steps.iter().rev().filter(|step| step.variant == variant);
    let percentage = of_variant().find_map(|step| match &step.change {
        FlagChange::Percentage(percent) => Some(*percent),
        FlagChange::Segments(_) => None,
    });
    let segments = of_variant().find_map(|step| match &step.change {
        FlagChange::Segments(segments) => Some(condition(segments)),
        FlagChange::Percentage(_) => None,
    });
    let default = before["defaultVariant"].as_str().unwrap_or_default();
    let own = before
        .get("targeting")
        .filter(|rule| is_rule(rule))
        .cloned();
    let mut rule = share(variant, default, percentage, own);
    if let Some(condition) = segments {
        rule = Some(select(&condition, variant, rule));
    }
    let mut after = before.clone();
    if let Some(object) = after.as_object_mut() {
        match rule {
            // A rule is an object.
            Some(Value::String(variant)) => {
                object.insert("targeting".to_owned(), json!({ "if": [true, variant] }));
            }
            Some(rule) => drop(object.insert("targeting".to_owned(), rule)),
            None => {}
        }
    }
    after
}

fn is_rule(rule: &Value) -> bool {
    rule.as_object().is_some_and(|rule| !rule.is_empty())
}

/// The rule that gives a share the variant, and the others what `own` says.
fn share(
    variant: &str,
    default: &str,
    percentage: Option<i32>,
    own: Option<Value>,
) -> Option<Value> {
    let percent = percentage.unwrap_or(0);
    let own = own.and_then(|own| without_share(own, variant));
    if percent == 0 {
        return own;
    }
    if percent >= 100 {
        return Some(variant.into());
    }
    let split = json!({ "fractional": [[variant, percent], [default, 100 - percent]] });
    Some(match own {
        None => split,
        Some(own) => json!({ "if": [{ "==": [split, variant] }, variant, own] }),
    })
}

/// The rule without the share that a former update left in it: rules must not grow with each update.
fn without_share(rule: Value, variant: &str) -> Option<Value> {
    let is_split = |rule: &Value| rule["fractional"][0][0] == variant;
    if is_split(&rule) || rule == json!({ "if": [true, variant] }) {
        return None;
    }
    let wrapped = rule["if"]
        .as_array()
        .filter(|parts| parts.len() == 3 && is_split(&parts[0]["=="][0]) && parts[1] == variant);
    match wrapped {
        Some(parts) => Some(parts[2].clone()),
        None => Some(rule),
    }
}

fn condition(segments: &[Segment]) -> Value {
    let tests: Vec<Value> = segments
        .iter()
        .map(|segment| {
            let attribute = json!({ "var": segment.attribute });
            match &segment.test {
                SegmentTest::Values(values) => json!({ "in": [attribute, values] }),
                SegmentTest::StartsWith(text) => json!({ "starts_with": [attribute, text] }),
                SegmentTest::EndsWith(text) => json!({ "ends_with": [attribute, text] }),
            }
        })
        .collect();
    match <[Value; 1]>::try_from(tests) {
        Ok([one]) => one,
        Err(several) => json!({ "or": several }),
    }
}

/// The rule that gives those who meet the condition the variant.
fn select(condition: &Value, variant: &str, rest: Option<Value>) -> Value {
    match rest {
        Some(rest) if rest["if"][0] == *condition && rest["if"][1] == variant => rest,
        Some(rest) => json!({ "if": [condition, variant, rest] }),
        None => json!({ "if": [condition, variant] }),
    }
}
