//! Faults that a test orders: refused, late and broken requests.

use std::time::Duration;

use super::call::Call;

/// What goes wrong with the next requests that fit.
#[derive(Clone, Debug)]
pub struct Fault {
    verb: String,
    resource: String,
    name: Option<String>,
    effect: Effect,
    left: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Effect {
    Status(u16, String, String),
    Delay(Duration),
    Disconnect,
    /// The write is done, but the client never hears of it.
    LoseAnswer,
}

impl Fault {
    /// The next matching request is refused with `code` (409 and so on) and `reason`.
    ///
    /// `verb` is `get`, `list`, `watch`, `create`, `update`, `patch` or `delete`; `resource` is
    /// `rollouts` or `rollouts/status`; `*` matches any.
    pub fn status(verb: &str, resource: &str, code: u16, reason: &str) -> Self {
        Self::new(
            verb,
            resource,
            Effect::Status(code, reason.to_owned(), "ordered by the test".to_owned()),
        )
    }

    /// The text of a refusal, for code that reads it.
    #[must_use]
    pub fn saying(mut self, text: &str) -> Self {
        if let Effect::Status(_, _, message) = &mut self.effect {
            text.clone_into(message);
        }
        self
    }

    /// The next matching request is answered late.
    pub fn delay(verb: &str, resource: &str, by: Duration) -> Self {
        Self::new(verb, resource, Effect::Delay(by))
    }

    /// The connection breaks before the next matching request is handled.
    pub fn disconnect(verb: &str, resource: &str) -> Self {
        Self::new(verb, resource, Effect::Disconnect)
    }

    /// The next matching request takes effect, but the connection breaks before the answer.
    pub fn lose_answer(verb: &str, resource: &str) -> Self {
        Self::new(verb, resource, Effect::LoseAnswer)
    }

    /// For so many requests instead of one.
    #[must_use]
    pub fn times(mut self, count: usize) -> Self {
        self.left = count;
        self
    }

    /// Only for the object with this name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    fn new(verb: &str, resource: &str, effect: Effect) -> Self {
        Self {
            verb: verb.to_owned(),
            resource: resource.to_owned(),
            name: None,
            effect,
            left: 1,
        }
    }

    fn fits(&self, call: &Call) -> bool {
        let fits = |wanted: &str, found: &str| wanted == "*" || wanted == found;
        self.left > 0
            && fits(&self.verb, call.verb)
            && fits(&self.resource, &call.resource())
            && self.name.as_ref().is_none_or(|name| *name == call.name)
    }
}

/// The effect of the first fault that fits, which is used up by one.
pub(super) fn take(faults: &mut Vec<Fault>, call: &Call) -> Option<Effect> {
    let fault = faults.iter_mut().find(|fault| fault.fits(call))?;
    fault.left -= 1;
    let effect = fault.effect.clone();
    faults.retain(|fault| fault.left > 0);
    Some(effect)
}
