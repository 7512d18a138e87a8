//! The values of Secrets: which of them differ can be seen, what they are cannot.

use serde_json::{Map, Value};

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The shortest mask; each other value of a key has one more.
const SHORTEST: usize = 8;

/// Masks the states of one object, when it is a Secret. Equal values of a key get equal masks.
pub(super) fn mask(states: &mut [Option<Value>]) {
    let is_secret = states
        .iter()
        .flatten()
        .any(|state| state["kind"] == "Secret" && state["apiVersion"] == "v1");
    if !is_secret {
        return;
    }
    let mut known = Known::default();
    for state in states.iter_mut().flatten() {
        known.mask_object(state);
        let annotations = state.pointer_mut("/metadata/annotations");
        if let Some(applied) = annotations.and_then(|annotations| annotations.get_mut(LAST_APPLIED))
        {
            let text = applied.as_str().unwrap_or_default();
            *applied = match serde_json::from_str::<Value>(text) {
                Ok(mut object) => {
                    known.mask_object(&mut object);
                    object.to_string().into()
                }
                // What cannot be read may hold anything.
                Err(_) => "+".repeat(SHORTEST).into(),
            };
        }
    }
}

/// The values seen so far, by key.
#[derive(Default)]
struct Known(Map<String, Value>);

impl Known {
    fn mask_object(&mut self, object: &mut Value) {
        for member in ["data", "stringData"] {
            match object.get_mut(member) {
                Some(Value::Object(fields)) => {
                    for (name, value) in fields {
                        *value = self.mask_of(name, value).into();
                    }
                }
                Some(Value::Null) | None => {}
                Some(other) => *other = "+".repeat(SHORTEST).into(),
            }
        }
    }

    fn mask_of(&mut self, name: &str, value: &Value) -> String {
        let seen = self
            .0
            .entry(name)
            .or_insert_with(|| Value::Array(Vec::new()));
        let at = seen.as_array_mut().map_or(0, |seen| {
            let known = seen.iter().position(|other| other == value);
            known.unwrap_or_else(|| {
                seen.push(value.clone());
                seen.len() - 1
            })
        });
        "+".repeat(SHORTEST + at)
    }
}
