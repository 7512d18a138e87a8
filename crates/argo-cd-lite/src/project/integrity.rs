//! Which signatures a project requires of what is synced.

use expressions::glob;
use thiserror::Error;

use super::{Project, either_scheme};
use crate::{
    api::GitIntegrityPolicy,
    repo::{RequiredSignatures, rule_pattern, rule_spellings},
};

/// The project's rules about signatures cannot be followed: nothing is synced.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum IntegrityError {
    /// Two ways of saying it.
    #[error(
        "the project has both spec.signatureKeys and spec.sourceIntegrity: remove spec.signatureKeys"
    )]
    Both,
    /// More than one policy fits.
    #[error(
        "{0} policies of spec.sourceIntegrity.git of the project fit the repository: at most one may"
    )]
    Several(usize),
    /// The mode has no meaning.
    #[error(
        "spec.sourceIntegrity.git.policies of the project: gpg.mode {0:?} is none of none, head and strict"
    )]
    Mode(String),
}

impl Project {
    /// What a Git source at `url` needs; `None` when nothing is verified.
    pub fn required_signatures(
        &self,
        url: &str,
    ) -> Result<Option<RequiredSignatures>, IntegrityError> {
        let keys: Vec<String> = (self.spec.signature_keys.iter())
            .map(|key| key.key_id.clone())
            .collect();
        let Some(integrity) = &self.spec.source_integrity else {
            return Ok((!keys.is_empty()).then_some(RequiredSignatures {
                keys,
                whole_history: false,
            }));
        };
        if !keys.is_empty() {
            return Err(IntegrityError::Both);
        }
        let policies = integrity.git.iter().flat_map(|git| &git.policies);
        let fitting: Vec<_> = policies.filter(|policy| fits(policy, url)).collect();
        let gpg = match fitting.as_slice() {
            [] => return Ok(None),
            [policy] => &policy.gpg,
            several => return Err(IntegrityError::Several(several.len())),
        };
        let Some(gpg) = gpg else {
            return Ok(None);
        };
        let whole_history = match gpg.mode.as_str() {
            "none" => return Ok(None),
            "head" => false,
            "strict" => true,
            other => return Err(IntegrityError::Mode(other.to_owned())),
        };
        Ok(Some(RequiredSignatures {
            keys: gpg.keys.clone(),
            whole_history,
        }))
    }

    /// True when every source needs signatures, whatever it is.
    pub fn signs_everything(&self) -> bool {
        !self.spec.signature_keys.is_empty()
    }
}

/// Whether a policy is about a repository. A pattern takes in every spelling of a URL, and those that it might mean where
/// it cannot be evaluated; one with `!` takes out what it surely means.
fn fits(policy: &GitIntegrityPolicy, url: &str) -> bool {
    let Some(spellings) = rule_spellings(url) else {
        return true;
    };
    let mut included = false;
    for repository in &policy.repos {
        if let Some(pattern) = repository.url.strip_prefix('!') {
            let pattern = rule_pattern(pattern);
            let out = |url: &String| glob::answer(&pattern, url, &[]).allows();
            if pattern == "*" || spellings.iter().any(out) {
                return false;
            }
        } else {
            let pattern = rule_pattern(&repository.url).to_lowercase();
            let meant = |url: &str| pattern == "*" || glob::answer(&pattern, url, &[]).denies();
            included |= (spellings.iter()).any(|url| either_scheme(url).any(|url| meant(&url)));
        }
    }
    included
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn required(spec: &Value, url: &str) -> Result<Option<RequiredSignatures>, IntegrityError> {
        let project = Project {
            name: "p".into(),
            spec: serde_json::from_value(spec.clone()).expect("a spec"),
        };
        project.required_signatures(url)
    }

    fn policies(policies: &Value) -> Value {
        json!({"sourceIntegrity": {"git": {"policies": policies}}})
    }

    #[test]
    fn the_only_policy_that_fits_decides() {
        let spec = policies(&json!([
            {"repos": [{"url": "https://git/team/*"}, {"url": "!https://git/team/open"}],
             "gpg": {"mode": "strict", "keys": ["A"]}},
            {"repos": [{"url": "https://git/other/*"}], "gpg": {"mode": "head", "keys": ["B"]}},
            {"repos": [{"url": "https://git/free"}], "gpg": {"mode": "none", "keys": ["B"]}},
        ]));
        let of = |url: &str| required(&spec, url).expect("a policy");
        let with = |key: &str, whole_history| {
            Some(RequiredSignatures {
                keys: vec![key.to_owned()],
                whole_history,
            })
        };
        for url in [
            "https://git/team/a",
            "https://git/team/deep/a.git",
            "https://GIT/Team/a",
            "http://git:80/team/a",
            "https://git/team/%61",
        ] {
            assert_eq!(of(url), with("A", true), "{url}");
        }
        assert_eq!(of("https://git/team/open.git"), None);
        assert_eq!(of("https://git/other/a"), with("B", false));
        assert_eq!(of("https://git/free"), None);
        assert_eq!(of("https://elsewhere/a"), None);
    }

    #[test]
    fn a_mistake_verifies_nothing_and_permits_nothing() {
        let any = json!({"repos": [{"url": "*"}], "gpg": {"mode": "head", "keys": ["A"]}});
        let two = required(&policies(&json!([any, any])), "https://git/a");
        assert_eq!(two, Err(IntegrityError::Several(2)));
        let odd = json!([{"repos": [{"url": "*"}], "gpg": {"mode": "deep", "keys": []}}]);
        let odd = required(&policies(&odd), "https://git/a");
        assert_eq!(odd, Err(IntegrityError::Mode("deep".into())));
        let mut both = policies(&json!([any]));
        both["signatureKeys"] = json!([{"keyID": "A"}]);
        assert_eq!(required(&both, "https://git/a"), Err(IntegrityError::Both));
        let broken = json!([{"repos": [{"url": "{a"}], "gpg": {"mode": "head", "keys": ["A"]}}]);
        assert!(required(&policies(&broken), "https://git/a").is_ok_and(|found| found.is_some()));
    }

    #[test]
    fn keys_of_the_project_are_required_everywhere() {
        let found = required(&json!({"signatureKeys": [{"keyID": "A"}]}), "https://any/a");
        let found = found.expect("fine").expect("keys");
        assert_eq!(
            (found.keys, found.whole_history),
            (vec!["A".to_owned()], false)
        );
        assert_eq!(required(&json!({}), "https://any/a"), Ok(None));
    }
}
