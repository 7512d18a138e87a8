//! Label selectors: the structured form of the API and the text form of requests.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::names;

/// `metav1.LabelSelector`: all labels and all expressions must hold.
///
/// Empty means everything. A *missing* selector means nothing in most APIs; that is the caller's to
/// decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must have exactly these values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub match_labels: BTreeMap<String, String>,
    /// Further conditions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelExpression>,
}

/// One condition of a [`LabelSelector`], unchecked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LabelExpression {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values of `In` and `NotIn`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
}

/// Why a selector cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// The operator is not one of Kubernetes'.
    #[error("{0:?} is not a valid label selector operator")]
    Operator(String),
    /// `In` and `NotIn` need values; `Exists` and `DoesNotExist` take none.
    #[error("values of label {0:?} do not fit its operator")]
    Values(String),
    /// The key cannot be a label.
    #[error("{0:?} is not a valid label key")]
    Key(String),
    /// The value cannot be the value of a label.
    #[error("{0:?} is not a valid label value")]
    Value(String),
    /// The text form does not parse.
    #[error("unable to parse the selector {0:?}")]
    Syntax(String),
}

/// One checked condition.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    In(Vec<String>),
    NotIn(Vec<String>),
    GreaterThan(i64),
    LessThan(i64),
}

/// A checked selector: the conjunction of its conditions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    tests: Vec<(String, Test)>,
}

impl Selector {
    /// Selects everything.
    pub const fn everything() -> Self {
        Self { tests: Vec::new() }
    }

    /// Labels that must have exactly these values.
    pub fn from_labels<'l>(labels: impl IntoIterator<Item = (&'l String, &'l String)>) -> Self {
        let test = |(key, value): (&String, &String)| (key.clone(), Test::In(vec![value.clone()]));
        Self {
            tests: labels.into_iter().map(test).collect(),
        }
    }

    /// True when there is no condition.
    pub fn is_everything(&self) -> bool {
        self.tests.is_empty()
    }

    /// True when an object with these labels is selected. `NotIn` holds when the label is missing.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.matches_with(|key| labels.get(key).map(String::as_str))
    }

    /// [`Selector::matches`] for labels kept in any other form.
    pub fn matches_with<'v>(&self, label: impl Fn(&str) -> Option<&'v str>) -> bool {
        self.tests.iter().all(|(key, test)| test.holds(label(key)))
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|text| text.parse::<i64>().ok());
        match self {
            Self::Exists => value.is_some(),
            Self::Absent => value.is_none(),
            Self::In(values) => value.is_some_and(|v| values.iter().any(|x| x == v)),
            Self::NotIn(values) => value.is_none_or(|v| values.iter().all(|x| x != v)),
            Self::GreaterThan(limit) => number().is_some_and(|n| n > *limit),
            Self::LessThan(limit) => number().is_some_and(|n| n < *limit),
        }
    }
}

impl TryFrom<&LabelSelector> for Selector {
    type Error = SelectorError;

    fn try_from(raw: &LabelSelector) -> Result<Self, Self::Error> {
        let mut tests = Vec::new();
        for (key, value) in &raw.match_labels {
            check_key(key)?;
            check_value(value)?;
            tests.push((key.clone(), Test::In(vec![value.clone()])));
        }
        for expression in &raw.match_expressions {
            check_key(&expression.key)?;
            let mut values = expression.values.clone();
            values.iter().try_for_each(|value| check_value(value))?;
            values.sort();
            let wants_values = matches!(expression.operator.as_str(), "In" | "NotIn");
            let test = match expression.operator.as_str() {
                "In" => Test::In(values),
                "NotIn" => Test::NotIn(values),
                "Exists" => Test::Exists,
                "DoesNotExist" => Test::Absent,
                other => return Err(SelectorError::Operator(other.to_owned())),
            };
            if expression.values.is_empty() == wants_values {
                return Err(SelectorError::Values(expression.key.clone()));
            }
            tests.push((expression.key.clone(), test));
        }
        // Go sorts by key, so that equal selectors make equal requests.
        tests.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { tests })
    }
}

fn check_key(key: &str) -> Result<(), SelectorError> {
    names::is_label_key(key)
        .then_some(())
        .ok_or_else(|| SelectorError::Key(key.to_owned()))
}

fn check_value(value: &str) -> Result<(), SelectorError> {
    names::is_label_value(value)
        .then_some(())
        .ok_or_else(|| SelectorError::Value(value.to_owned()))
}

impl FromStr for Selector {
    type Err = SelectorError;

    /// The text form: `a=b,c!=d,e in (x,y),f notin (z),g,!h,i>3`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut tests = Vec::new();
        if !text.trim().is_empty() {
            for part in split_outside_parentheses(text) {
                tests.push(requirement(part.trim(), text)?);
            }
        }
        tests.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { tests })
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    let mut parts = Vec::new();
    let mut start = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn requirement(part: &str, whole: &str) -> Result<(String, Test), SelectorError> {
    let syntax = || SelectorError::Syntax(whole.to_owned());
    if let Some(key) = part.strip_prefix('!') {
        return finish(key, Test::Absent);
    }
    if let Some(head) = part.strip_suffix(')') {
        let (head, list) = head.split_once('(').ok_or_else(syntax)?;
        let (key, operator) = head
            .trim()
            .split_once(char::is_whitespace)
            .ok_or_else(syntax)?;
        let mut values: Vec<String> = list.split(',').map(|v| v.trim().to_owned()).collect();
        values.iter().try_for_each(|value| check_value(value))?;
        values.sort();
        return match operator.trim() {
            "in" => finish(key, Test::In(values)),
            "notin" => finish(key, Test::NotIn(values)),
            _ => Err(syntax()),
        };
    }
    // The longer operators first: `==` before `=`.
    for operator in ["!=", "==", "=", ">", "<"] {
        let Some((key, value)) = part.split_once(operator) else {
            continue;
        };
        let value = value.trim();
        let number = || value.parse::<i64>().map_err(|_| syntax());
        let test = match operator {
            ">" => Test::GreaterThan(number()?),
            "<" => Test::LessThan(number()?),
            "!=" => Test::NotIn(vec![value.to_owned()]),
            _ => Test::In(vec![value.to_owned()]),
        };
        check_value(value)?;
        return finish(key, test);
    }
    finish(part, Test::Exists)
}

fn finish(key: &str, test: Test) -> Result<(String, Test), SelectorError> {
    let key = key.trim();
    check_key(key)?;
    Ok((key.to_owned(), test))
}

impl fmt::Display for Selector {
    /// The text form that list and watch requests take.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (key, test)) in self.tests.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            match test {
                Test::Exists => write!(f, "{key}")?,
                Test::Absent => write!(f, "!{key}")?,
                Test::In(values) if values.len() == 1 => write!(f, "{key}={}", values[0])?,
                Test::NotIn(values) if values.len() == 1 => write!(f, "{key}!={}", values[0])?,
                Test::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                Test::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Test::GreaterThan(limit) => write!(f, "{key}>{limit}")?,
                Test::LessThan(limit) => write!(f, "{key}<{limit}")?,
            }
        }
        Ok(())
    }
}
