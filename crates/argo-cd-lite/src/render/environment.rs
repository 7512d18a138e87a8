//! Variables of a build, and which facts a render read.

use std::{cell::RefCell, collections::BTreeMap};

/// Facts beside files that a render depended on, by name.
#[derive(Debug, Default)]
pub(super) struct Uses(RefCell<BTreeMap<String, String>>);

impl Uses {
    /// Notes that `value` of the fact `name` was read.
    pub(super) fn note(&self, name: impl Into<String>, value: impl Into<String>) {
        self.0.borrow_mut().insert(name.into(), value.into());
    }

    /// All facts that were read.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        self.0.borrow().clone()
    }
}

/// Name of the fact that is the revision of a source.
pub(super) fn revision_fact(index: usize) -> String {
    format!("revision {index}")
}

/// The variables that fields of a source may name.
pub(super) struct Environment<'a> {
    pub(super) app: &'a str,
    pub(super) namespace: &'a str,
    pub(super) project: &'a str,
    pub(super) repo_url: &'a str,
    pub(super) path: &'a str,
    pub(super) target_revision: &'a str,
    pub(super) revision: &'a str,
    /// Index of the source.
    pub(super) index: usize,
    pub(super) uses: &'a Uses,
}

impl Environment<'_> {
    /// The value of a variable; the empty text for one that does not exist.
    fn value(&self, name: &str) -> &str {
        let revision = |length: usize| {
            self.uses.note(revision_fact(self.index), self.revision);
            self.revision.get(..length).unwrap_or(self.revision)
        };
        match name {
            "ARGOCD_APP_NAME" => self.app,
            "ARGOCD_APP_NAMESPACE" => self.namespace,
            "ARGOCD_APP_PROJECT_NAME" => self.project,
            "ARGOCD_APP_SOURCE_REPO_URL" => self.repo_url,
            "ARGOCD_APP_SOURCE_PATH" => self.path,
            "ARGOCD_APP_SOURCE_TARGET_REVISION" => self.target_revision,
            "ARGOCD_APP_REVISION" => revision(usize::MAX),
            "ARGOCD_APP_REVISION_SHORT" => revision(7),
            "ARGOCD_APP_REVISION_SHORT_8" => revision(8),
            _ => "",
        }
    }

    /// `text` with `$NAME` and `${NAME}` replaced, as Go's `os.Expand` does; `$$` is a dollar sign.
    pub(super) fn substitute(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            match name_in(rest) {
                Name::Variable(name, length) => {
                    out.push_str(if name == "$" { "$" } else { self.value(name) });
                    rest = &rest[length..];
                }
                Name::Broken(length) => rest = &rest[length..],
                Name::None => out.push('$'),
            }
        }
        out.push_str(rest);
        out
    }
}

/// What follows a dollar sign.
enum Name<'a> {
    /// A name, and its bytes with braces.
    Variable(&'a str, usize),
    /// Braces without a name; they are dropped.
    Broken(usize),
    /// No name: the dollar sign stands for itself.
    None,
}

fn name_in(text: &str) -> Name<'_> {
    const SPECIAL: &[u8] = b"*#$@!?-0123456789";
    let bytes = text.as_bytes();
    match bytes.first() {
        None => Name::None,
        Some(b'{') => {
            if bytes.get(1).is_some_and(|byte| SPECIAL.contains(byte))
                && bytes.get(2) == Some(&b'}')
            {
                return Name::Variable(&text[1..2], 3);
            }
            match text.find('}') {
                Some(1) => Name::Broken(2),
                Some(end) => Name::Variable(&text[1..end], end + 1),
                None => Name::Broken(1),
            }
        }
        Some(byte) if SPECIAL.contains(byte) => Name::Variable(&text[..1], 1),
        Some(_) => {
            let length = bytes
                .iter()
                .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
                .count();
            match length {
                0 => Name::None,
                length => Name::Variable(&text[..length], length),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_replaced_as_go_does() {
        let uses = Uses::default();
        let environment = Environment {
            app: "shop",
            namespace: "prod",
            project: "default",
            repo_url: "https://git/a",
            path: "charts/shop",
            target_revision: "main",
            revision: "0123456789abcdef",
            index: 0,
            uses: &uses,
        };
        for (text, expected) in [
            ("a-$ARGOCD_APP_NAME-b", "a-shop-b"),
            ("${ARGOCD_APP_NAMESPACE}x", "prodx"),
            ("$ARGOCD_APP_NAMEx", ""),
            ("$UNKNOWN.", "."),
            ("$$HOME", "$HOME"),
            ("100$", "100$"),
            ("a$ b", "a$ b"),
            ("${}x", "x"),
            ("${x", "x"),
            ("ü$ARGOCD_APP_NAMEü", "üshopü"),
        ] {
            assert_eq!(environment.substitute(text), expected, "{text}");
        }
        assert!(uses.all().is_empty(), "no revision was used");
        let revision = environment.substitute("$ARGOCD_APP_REVISION_SHORT");
        assert_eq!(revision, "0123456");
        assert_eq!(uses.all()["revision 0"], "0123456789abcdef");
    }
}
