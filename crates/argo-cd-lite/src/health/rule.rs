//! Health rules as data: a row says for one kind which fields and conditions decide.
//!
//! ```text
//! rule("cert-manager.io", "Issuer", &[when(&[no("Ready", Degraded), yes("Ready", Healthy)])])
//!     .otherwise(Progressing, "Initializing issuer")
//! ```
//!
//! Steps are tried in order; the first that applies decides. Words are alternatives separated by `|`; a
//! leading `!` negates them, a trailing `*` on a word matches any rest, `*` alone any value that is there.
//!
//! Messages are templates. `{message}`, `{reason}`, `{type}` and `{status}` come from the condition,
//! `{value}` is the value that decided, `{kind}` the kind and `{status.x.y}` a field of the object.
//! Alternatives are separated by `|`, the last one may be plain words: `{message|reason|not accepted}`.

use std::borrow::Cow;

use serde_json::Value;

use super::{Code, Health, Subject, value};

/// How health of one kind, or of all kinds of some groups, is found.
#[derive(Debug)]
pub(super) struct Rule {
    /// Group; a leading `*.` stands for any subdomain.
    pub(super) group: &'static str,
    /// Kind, alternatives separated by `|`; `*` is any.
    pub(super) kind: &'static str,
    steps: &'static [Step],
    otherwise: Option<RuleHealth>,
}

/// A row without an answer for objects that no step decides.
pub(super) const fn rule(group: &'static str, kind: &'static str, steps: &'static [Step]) -> Rule {
    Rule {
        group,
        kind,
        steps,
        otherwise: None,
    }
}

impl Rule {
    /// The answer where no step decides.
    pub(super) const fn otherwise(self, code: Code, say: &'static str) -> Self {
        let otherwise = Some(RuleHealth { code, say });
        Self { otherwise, ..self }
    }

    /// `Progressing` where no step decides.
    pub(super) const fn waiting(self, say: &'static str) -> Self {
        self.otherwise(Code::Progressing, say)
    }

    /// True when the rule is for this kind.
    pub(super) fn covers(&self, group: &str, kind: &str) -> bool {
        let group_fits = match self.group.strip_prefix("*.") {
            Some(domain) => group
                .strip_suffix(domain)
                .is_some_and(|rest| rest.ends_with('.') && rest.len() > 1),
            None => self.group == group,
        };
        group_fits && is_one_of(self.kind, kind)
    }

    /// Health by this rule. `None` where the rule has no answer.
    pub(super) fn assess(&self, subject: &Subject<'_>) -> Option<Health> {
        let decided = self.steps.iter().find_map(|step| step.decide(subject));
        decided.or_else(|| {
            let verdict = self.otherwise.as_ref()?;
            Some(verdict.spoken(subject, Facts::default()))
        })
    }
}

#[derive(Debug)]
pub(super) struct RuleHealth {
    code: Code,
    say: &'static str,
}

impl RuleHealth {
    fn spoken(&self, subject: &Subject<'_>, facts: Facts<'_>) -> Health {
        Health::new(self.code, render(self.say, subject, facts))
    }
}

/// One thing to look at.
#[derive(Debug)]
pub(super) enum Step {
    /// The first condition, in the order of the list, that fits one of the cases.
    Conditions(&'static [Case]),
    /// A field, with the answer for each of its values.
    Field {
        path: &'static str,
        answers: &'static [(&'static str, Code, &'static str)],
    },
    /// A field that is absent or null.
    Absent {
        path: &'static str,
        verdict: RuleHealth,
    },
    /// `status.observedGeneration` is older than the spec.
    Behind(RuleHealth),
    /// What a table cannot say.
    Run(fn(&Subject<'_>) -> Option<Health>),
}

/// Conditions, see [`Step::Conditions`].
pub(super) const fn when(cases: &'static [Case]) -> Step {
    Step::Conditions(cases)
}

/// A field and its values, see [`Step::Field`].
pub(super) const fn field(
    path: &'static str,
    answers: &'static [(&'static str, Code, &'static str)],
) -> Step {
    Step::Field { path, answers }
}

/// A field that is not there.
pub(super) const fn absent(path: &'static str, code: Code, say: &'static str) -> Step {
    let verdict = RuleHealth { code, say };
    Step::Absent { path, verdict }
}

/// The status is older than the spec.
pub(super) const fn behind(code: Code, say: &'static str) -> Step {
    Step::Behind(RuleHealth { code, say })
}

/// What a table cannot say.
pub(super) const fn run(function: fn(&Subject<'_>) -> Option<Health>) -> Step {
    Step::Run(function)
}

impl Step {
    fn decide(&self, subject: &Subject<'_>) -> Option<Health> {
        match self {
            Self::Conditions(cases) => subject.conditions().iter().find_map(|condition| {
                let case = cases.iter().find(|case| case.fits(condition))?;
                let facts = Facts {
                    condition: Some(condition),
                    value: None,
                };
                Some(case.verdict.spoken(subject, facts))
            }),
            Self::Field { path, answers } => {
                let found = plain(subject.at(path))?;
                let (_, code, say) = answers
                    .iter()
                    .find(|(words, ..)| is_one_of(words, &found))?;
                let facts = Facts {
                    condition: None,
                    value: Some(&found),
                };
                Some(RuleHealth { code: *code, say }.spoken(subject, facts))
            }
            Self::Absent { path, verdict } => subject
                .at(path)
                .is_null()
                .then(|| verdict.spoken(subject, Facts::default())),
            Self::Behind(verdict) => subject
                .is_behind()
                .then(|| verdict.spoken(subject, Facts::default())),
            Self::Run(function) => function(subject),
        }
    }
}

/// A condition that decides, and what it means.
#[derive(Debug)]
pub(super) struct Case {
    types: &'static str,
    status: &'static str,
    reasons: &'static str,
    verdict: RuleHealth,
}

/// The condition is true. The message is the condition's own.
pub(super) const fn yes(types: &'static str, code: Code) -> Case {
    on(types, "True", code)
}

/// The condition is false. The message is the condition's own.
pub(super) const fn no(types: &'static str, code: Code) -> Case {
    on(types, "False", code)
}

/// The condition has one of these statuses. The message is the condition's own.
pub(super) const fn on(types: &'static str, status: &'static str, code: Code) -> Case {
    Case {
        types,
        status,
        reasons: "",
        verdict: RuleHealth {
            code,
            say: "{message}",
        },
    }
}

impl Case {
    /// Only with one of these reasons.
    pub(super) const fn because(self, reasons: &'static str) -> Self {
        Self { reasons, ..self }
    }

    /// Another message.
    pub(super) const fn say(self, say: &'static str) -> Self {
        let code = self.verdict.code;
        Self {
            verdict: RuleHealth { code, say },
            ..self
        }
    }

    fn fits(&self, condition: &Value) -> bool {
        let member = |name: &str| value::text(condition, &[name]);
        is_one_of(self.types, member("type"))
            && is_one_of(self.status, member("status"))
            && (self.reasons.is_empty() || is_one_of(self.reasons, member("reason")))
    }
}

/// True when `found` is one of `words`; see the head of this file.
fn is_one_of(words: &str, found: &str) -> bool {
    let (words, wanted) = match words.strip_prefix('!') {
        Some(rest) => (rest, false),
        None => (words, true),
    };
    let hit = words.split('|').any(|word| match word.strip_suffix('*') {
        Some("") => !found.is_empty(),
        Some(start) => found.starts_with(start),
        None => word == found,
    });
    hit == wanted
}

/// Scalars as text; `None` for what is absent or no scalar.
fn plain(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

/// What a message can speak of.
#[derive(Clone, Copy, Default)]
struct Facts<'a> {
    condition: Option<&'a Value>,
    value: Option<&'a str>,
}

fn render<'t>(template: &'t str, subject: &Subject<'_>, facts: Facts<'_>) -> Cow<'t, str> {
    if !template.contains('{') {
        return Cow::Borrowed(template);
    }
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, inside)) = rest.split_once('{') {
        let Some((names, after)) = inside.split_once('}') else {
            break;
        };
        text.push_str(before);
        let found = names
            .split('|')
            .find_map(|name| named(name, subject, facts));
        text.push_str(&found.unwrap_or_default());
        rest = after;
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// The value of one name in a message; `None` when there is none. Other words stand for themselves.
fn named<'a>(name: &'a str, subject: &Subject<'a>, facts: Facts<'a>) -> Option<Cow<'a, str>> {
    match name {
        "message" | "reason" | "type" | "status" => facts
            .condition
            .and_then(|condition| plain(&condition[name])),
        "value" => facts.value.map(Cow::Borrowed),
        "kind" => Some(Cow::Borrowed(subject.kind)),
        path if path.starts_with("status.") || path.starts_with("spec.") => {
            plain(subject.at(path)).filter(|text| !text.is_empty())
        }
        words => Some(Cow::Borrowed(words)),
    }
}
