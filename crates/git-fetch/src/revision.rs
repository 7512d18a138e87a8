//! The words that name a commit.

/// True for the whole id of a commit.
pub fn is_commit_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// True for the full name of one ref, by the rules of `git check-ref-format`.
pub fn is_ref_name(text: &str) -> bool {
    let odd = |c: char| c.is_whitespace() || c.is_control() || "~^:?*[\\".contains(c);
    let part_is_fine = |part: &str| {
        let is_lock = part
            .rsplit_once('.')
            .is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("lock"));
        !part.is_empty() && !part.starts_with('.') && !is_lock
    };
    text.starts_with("refs/")
        && !text.contains(odd)
        && !text.contains("..")
        && !text.contains("@{")
        && !text.ends_with('.')
        && text.split('/').all(part_is_fine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_could_be_taken_for_several_refs_is_none() {
        for name in [
            "refs/heads/main",
            "refs/pull/7/head",
            "refs/tags/v1.0",
            "refs/heads/a/b@c",
        ] {
            assert!(is_ref_name(name), "{name}");
        }
        for name in [
            "",
            "main",
            "heads/main",
            "refs/",
            "refs//a",
            "refs/heads/",
            "refs/heads/*",
            "refs/heads/a:refs/heads/b",
            "refs/heads/a b",
            "refs/heads/a..b",
            "refs/heads/.a",
            "refs/heads/a.lock",
            "refs/heads/a.",
            "refs/heads/a@{1}",
            "refs/heads/a^",
            "+refs/heads/a",
            "refs/heads/a\\b",
            "refs/heads/a\nb",
        ] {
            assert!(!is_ref_name(name), "{name}");
        }
    }
}
