//! An action as data: when it is possible, and which fields it sets.

use serde_json::{Map, Value};

use super::{ActionError, ActionInfo, ActionParam, Call, Change, patches};

/// One action of one or more kinds.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) group: &'static str,
    /// Alternatives separated by `|`.
    pub(super) kinds: &'static str,
    pub(super) name: &'static str,
    display: &'static str,
    icon: &'static str,
    state: fn(&Value) -> State,
    param: Option<Param>,
    effect: Effect,
}

/// A parameter and its value when nothing is chosen.
type Param = (&'static str, fn(&Value) -> String);

/// Whether an action is possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Now.
    Possible,
    /// The object has it, but not in its present state.
    Disabled,
    /// The object does not have it.
    Absent,
}

impl State {
    /// Possible when `condition` holds, else disabled.
    pub(super) fn when(condition: bool) -> Self {
        if condition {
            Self::Possible
        } else {
            Self::Disabled
        }
    }

    /// Possible when `condition` holds, else not there.
    pub(super) fn only_when(condition: bool) -> Self {
        if condition {
            Self::Possible
        } else {
            Self::Absent
        }
    }
}

#[derive(Debug)]
pub(super) enum Effect {
    /// Fields and their values.
    Set(&'static [(&'static [&'static str], Setting)]),
    /// What a table cannot say about the object itself.
    Edit(fn(&mut Value, &Call<'_>) -> Result<(), ActionError>),
    /// A new object.
    Create(fn(&Call<'_>) -> Result<Value, ActionError>),
}

/// The value of a field.
#[derive(Debug)]
pub(super) enum Setting {
    /// The time.
    Now,
    /// A flag.
    Flag(bool),
    /// A text.
    Text(&'static str),
    /// Gone.
    Absent,
    /// The number of replicas that was asked for.
    Replicas,
    /// The same as text, as annotations have it.
    ReplicasText,
}

pub(super) const fn row(
    group: &'static str,
    kinds: &'static str,
    name: &'static str,
    effect: Effect,
) -> Row {
    Row {
        group,
        kinds,
        name,
        display: "",
        icon: "",
        state: |_| State::Possible,
        param: None,
        effect,
    }
}

impl Row {
    /// When it is possible.
    pub(super) const fn state(self, state: fn(&Value) -> State) -> Self {
        Self { state, ..self }
    }

    /// What a person sees.
    pub(super) const fn shown(self, display: &'static str, icon: &'static str) -> Self {
        Self {
            display,
            icon,
            ..self
        }
    }

    /// A parameter, with its value when nothing is chosen.
    pub(super) const fn param(self, name: &'static str, default: fn(&Value) -> String) -> Self {
        Self {
            param: Some((name, default)),
            ..self
        }
    }

    pub(super) fn covers(&self, group: &str, kind: &str) -> bool {
        self.group == group && self.kinds.split('|').any(|one| one == kind)
    }

    /// What the object has of it; `None` when nothing.
    pub(super) fn info(&self, object: &Value) -> Option<ActionInfo> {
        let state = (self.state)(object);
        if state == State::Absent {
            return None;
        }
        let param = self.param.map(|(name, default)| ActionParam {
            name: name.to_owned(),
            default: default(object),
        });
        Some(ActionInfo {
            name: self.name.to_owned(),
            disabled: state == State::Disabled,
            display_name: self.display.to_owned(),
            icon_class: self.icon.to_owned(),
            params: param.into_iter().collect(),
        })
    }

    pub(super) fn run(&self, call: &Call<'_>) -> Result<Vec<Change>, ActionError> {
        let mut new = call.object.clone();
        match &self.effect {
            Effect::Set(fields) => {
                for (path, setting) in *fields {
                    set(&mut new, path, setting.value(call)?);
                }
            }
            Effect::Edit(edit) => edit(&mut new, call)?,
            Effect::Create(create) => return Ok(vec![Change::Create(create(call)?)]),
        }
        Ok(patches(call.object, new))
    }
}

impl Setting {
    fn value(&self, call: &Call<'_>) -> Result<Value, ActionError> {
        Ok(match self {
            Self::Now => seconds(call).into(),
            Self::Flag(flag) => (*flag).into(),
            Self::Text(text) => (*text).into(),
            Self::Absent => Value::Null,
            Self::Replicas => replicas(call)?.into(),
            Self::ReplicasText => replicas(call)?.to_string().into(),
        })
    }
}

/// The time as Kubernetes writes it.
pub(super) fn seconds(call: &Call<'_>) -> String {
    call.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn replicas(call: &Call<'_>) -> Result<u32, ActionError> {
    let wrong = |reason: String| ActionError::Param {
        name: "replicas".to_owned(),
        reason,
    };
    let text = call
        .params
        .get("replicas")
        .ok_or_else(|| wrong("is required".to_owned()))?;
    text.trim()
        .parse()
        .map_err(|_| wrong(format!("{text:?} is no number of 0 or more")))
}

/// Sets a field; null removes it. Objects on the way are made.
pub(super) fn set(object: &mut Value, path: &[&str], value: Value) {
    let Some((last, parents)) = path.split_last() else {
        return;
    };
    let mut place = object;
    for name in parents {
        if !place[*name].is_object() {
            if value.is_null() {
                return;
            }
            place[*name] = Value::Object(Map::new());
        }
        place = &mut place[*name];
    }
    match place.as_object_mut() {
        Some(fields) if value.is_null() => drop(fields.remove(*last)),
        Some(fields) => drop(fields.insert((*last).to_owned(), value)),
        None => {}
    }
}
