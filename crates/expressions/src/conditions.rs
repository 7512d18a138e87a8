//! Conditions of Sensor triggers: which dependencies must have been met.
//!
//! The grammar is dependency names joined by `&&` and `||` with parentheses; `&&` binds tighter.
//! Upstream folds `-` and `_` into one character, so that two dependencies may collide; here the
//! names are exact.

use std::collections::BTreeSet;

/// Longer conditions are refused; a hundred dependencies fit easily.
pub const MAX_LENGTH: usize = 16 * 1024;

/// Parentheses may be nested this deep.
const MAX_DEPTH: usize = 64;

/// Why a condition cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// The text does not follow the grammar.
    #[error("{reason}, at column {column} of condition `{condition}`")]
    Syntax {
        /// The condition.
        condition: String,
        /// Column in characters, from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// The condition names something that is no dependency of the Sensor.
    #[error("unknown dependency `{name}`, at column {column} of condition `{condition}`")]
    UnknownDependency {
        /// The condition.
        condition: String,
        /// Column in characters, from 1.
        column: usize,
        /// The name that is not known.
        name: String,
    },
}

/// A parsed condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    text: String,
    root: Node,
    names: Vec<Name>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    text: String,
    at: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Name(String),
    All(Vec<Node>),
    Any(Vec<Node>),
}

impl Condition {
    /// Parses a condition.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        if text.len() > MAX_LENGTH {
            let reason = format!("condition is longer than {MAX_LENGTH} bytes");
            return Err(syntax(text.get(..80).unwrap_or_default(), 0, reason));
        }
        let mut parser = Parser {
            text,
            at: 0,
            depth: 0,
            names: Vec::new(),
        };
        let root = parser.any()?;
        parser.skip_space();
        if parser.at < text.len() {
            let found = parser.describe();
            return Err(syntax(
                text,
                parser.at,
                format!("expected `&&` or `||`, found {found}"),
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            root,
            names: parser.names,
        })
    }

    /// The condition of a trigger that has none: every dependency, joined by `&&`. `None` when
    /// there are no dependencies at all.
    pub fn all_of<'n>(names: impl IntoIterator<Item = &'n str>) -> Option<Self> {
        let list: Vec<&str> = names.into_iter().collect();
        if list.is_empty() {
            return None;
        }
        let mut at = 0;
        let mut names = Vec::new();
        for name in &list {
            names.push(Name {
                text: (*name).to_owned(),
                at,
            });
            at += name.len() + " && ".len();
        }
        let mut nodes: Vec<Node> = list.iter().map(|n| Node::Name((*n).to_owned())).collect();
        let root = if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::All(nodes)
        };
        Some(Self {
            text: list.join(" && "),
            root,
            names,
        })
    }

    /// The text of the condition.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The dependencies named, each once, in the order of their first mention.
    pub fn names(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        self.names
            .iter()
            .map(|n| n.text.as_str())
            .filter(|n| seen.insert(*n))
            .collect()
    }

    /// Reports the first name that `known` does not have.
    pub fn check_names(&self, known: impl Fn(&str) -> bool) -> Result<(), ConditionError> {
        match self.names.iter().find(|name| !known(&name.text)) {
            None => Ok(()),
            Some(name) => Err(ConditionError::UnknownDependency {
                condition: self.text.clone(),
                column: column(&self.text, name.at),
                name: name.text.clone(),
            }),
        }
    }

    /// Whether the condition holds when exactly the dependencies accepted by `met` are met.
    pub fn holds(&self, met: impl Fn(&str) -> bool) -> bool {
        self.root.holds(&met)
    }

    /// Whether events must be kept until others arrive. As upstream, this asks for a `&&`
    /// anywhere, also where one side of an `||` alone would do.
    pub fn requires_and_logic(&self) -> bool {
        self.text.contains('&')
    }
}

impl Node {
    fn holds(&self, met: &impl Fn(&str) -> bool) -> bool {
        match self {
            Self::Name(name) => met(name),
            Self::All(nodes) => nodes.iter().all(|node| node.holds(met)),
            Self::Any(nodes) => nodes.iter().any(|node| node.holds(met)),
        }
    }
}

fn column(text: &str, at: usize) -> usize {
    text.get(..at).map_or(0, |before| before.chars().count()) + 1
}

fn syntax(text: &str, at: usize, reason: String) -> ConditionError {
    ConditionError::Syntax {
        condition: text.to_owned(),
        column: column(text, at),
        reason,
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    names: Vec<Name>,
}

impl Parser<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    fn take(&mut self, token: &str) -> bool {
        self.skip_space();
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn describe(&self) -> String {
        self.rest()
            .chars()
            .next()
            .map_or("the end".to_owned(), |c| format!("`{c}`"))
    }

    fn any(&mut self) -> Result<Node, ConditionError> {
        let mut nodes = vec![self.all()?];
        while self.take("||") {
            nodes.push(self.all()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::Any(nodes)
        })
    }

    fn all(&mut self) -> Result<Node, ConditionError> {
        let mut nodes = vec![self.operand()?];
        while self.take("&&") {
            nodes.push(self.operand()?);
        }
        Ok(if nodes.len() == 1 {
            nodes.remove(0)
        } else {
            Node::All(nodes)
        })
    }

    fn operand(&mut self) -> Result<Node, ConditionError> {
        if self.take("(") {
            self.depth += 1;
            if self.depth > MAX_DEPTH {
                let reason = format!("parentheses are nested deeper than {MAX_DEPTH}");
                return Err(syntax(self.text, self.at, reason));
            }
            let inner = self.any()?;
            self.depth -= 1;
            if !self.take(")") {
                let found = self.describe();
                return Err(syntax(
                    self.text,
                    self.at,
                    format!("expected `)`, found {found}"),
                ));
            }
            return Ok(inner);
        }
        let at = self.at;
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        let length = self
            .rest()
            .find(|c| !is_name(c))
            .unwrap_or(self.rest().len());
        if length == 0 {
            let reason = if self.rest().starts_with('!') {
                "`!` is not offered in conditions".to_owned()
            } else {
                format!(
                    "expected the name of a dependency, found {}",
                    self.describe()
                )
            };
            return Err(syntax(self.text, at, reason));
        }
        let name = self.rest()[..length].to_owned();
        self.at += length;
        self.names.push(Name {
            text: name.clone(),
            at,
        });
        Ok(Node::Name(name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(condition: &str, met: &[&str]) -> bool {
        Condition::parse(condition)
            .unwrap()
            .holds(|name| met.contains(&name))
    }

    #[test]
    fn and_binds_tighter_than_or() {
        assert!(holds("a || b && c", &["a"]));
        assert!(!holds("a || b && c", &["b"]));
        assert!(holds("a || b && c", &["b", "c"]));
        assert!(!holds("(a || b) && c", &["a"]));
        assert!(holds("(a||b)&&c", &["b", "c"]));
        assert!(holds(" dep-1 ", &["dep-1"]));
    }

    #[test]
    fn names_are_exact_and_listed_once() {
        let condition = Condition::parse("a-b && (a_b || c.d) && a-b").unwrap();
        assert_eq!(condition.names(), ["a-b", "a_b", "c.d"]);
        assert!(!condition.holds(|name| name == "a-b"));
        let error = condition.check_names(|name| name != "c.d").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown dependency `c.d`, at column 16 of condition `a-b && (a_b || c.d) && a-b`"
        );
    }

    #[test]
    fn and_logic_is_asked_for_by_any_ampersand() {
        assert!(
            Condition::parse("(a && b) || c")
                .unwrap()
                .requires_and_logic()
        );
        assert!(!Condition::parse("a || c").unwrap().requires_and_logic());
    }

    #[test]
    fn no_condition_means_all_dependencies() {
        let all = Condition::all_of(["a", "b"]).unwrap();
        assert_eq!(all, Condition::parse("a && b").unwrap());
        assert_eq!(
            Condition::all_of(["a"]).unwrap(),
            Condition::parse("a").unwrap()
        );
        assert!(Condition::all_of([]).is_none());
    }

    #[test]
    fn bad_conditions_say_where() {
        for (text, message) in [
            (
                "",
                "expected the name of a dependency, found the end, at column 1 of condition ``",
            ),
            (
                "a &&",
                "expected the name of a dependency, found the end, at column 5 of condition `a &&`",
            ),
            (
                "a & b",
                "expected `&&` or `||`, found `&`, at column 3 of condition `a & b`",
            ),
            (
                "a b",
                "expected `&&` or `||`, found `b`, at column 3 of condition `a b`",
            ),
            (
                "(a || b",
                "expected `)`, found the end, at column 8 of condition `(a || b`",
            ),
            (
                "!a",
                "`!` is not offered in conditions, at column 1 of condition `!a`",
            ),
        ] {
            assert_eq!(Condition::parse(text).unwrap_err().to_string(), message);
        }
        assert!(Condition::parse(&"(".repeat(10_000)).is_err());
        assert!(Condition::parse(&"a||".repeat(10_000)).is_err());
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[ab&|()! \\-é]{0,30}") {
            let _ = Condition::parse(&text).map(|c| c.holds(|_| true));
        }
    }
}
