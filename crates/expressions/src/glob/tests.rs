use proptest::prelude::*;

use super::*;

fn matches(pattern: &str, text: &str, separators: &[char]) -> bool {
    answer(pattern, text, separators).allows()
}

#[test]
fn patterns_must_match_the_whole_text() {
    assert!(matches(
        "https://github.com/*/app",
        "https://github.com/org/app",
        &['/']
    ));
    assert!(!matches(
        "https://github.com/*",
        "https://github.com/org/app",
        &['/']
    ));
    assert!(matches(
        "https://github.com/**",
        "https://github.com/org/app",
        &['/']
    ));
    assert!(matches("team-*", "team-a/b\nc", &[]));
    assert!(!matches("team", "team-a", &[]));
    assert!(matches("*.yaml", "a/b.yaml", &[]));
    assert!(!matches("*.yaml", "a/b.yaml", &['/']));
}

#[test]
fn groups_classes_and_escapes() {
    assert!(matches("{config,env-use2/*}", "env-use2/a.yaml", &[]));
    assert!(matches("{a,b}{c,d}", "bc", &[]));
    assert!(matches("{a,{b,c{d,e}}}x", "cex", &[]));
    assert!(matches("a{,b}", "a", &[]));
    assert!(!matches("{a,b}", "c", &[]));
    assert!(matches("[a-c]?[!x]", "b1y", &[]));
    assert!(!matches("[a-c]?[!x]", "b1x", &[]));
    assert!(matches(r"\*", "*", &[]));
    assert!(!matches(r"\*", "a", &[]));
}

#[test]
fn a_malformed_pattern_is_explained_and_neither_allows_nor_passes_a_deny_rule() {
    for (pattern, message) in [
        ("a[", "`[` is not closed, in glob pattern `a[`"),
        ("{a", "`{` is not closed, in glob pattern `{a`"),
        ("[z-a]", "the range goes backwards, in glob pattern `[z-a]`"),
    ] {
        assert_eq!(Glob::new(pattern, &[]).unwrap_err().to_string(), message);
        let answer = answer(pattern, pattern, &[]);
        assert!(!answer.allows());
        assert!(answer.denies());
    }
}

#[test]
fn certain_answers_allow_and_deny() {
    let yes = answer("a*", "ab", &[]);
    assert!(yes.allows() && yes.denies());
    let no = answer("a*", "b", &[]);
    assert!(!no.allows() && !no.denies());
}

/// As many bytes of stack as a worker thread has at least.
fn on_a_small_stack(test: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(test)
        .expect("a thread")
        .join()
        .expect("no panic");
}

#[test]
fn hostile_patterns_end_on_a_small_stack() {
    on_a_small_stack(|| {
        let text = "a".repeat(15_000);
        for pattern in [
            "*a".repeat(15_000),
            "*a".repeat(8_000),
            "{a,".repeat(100_000),
            "{".repeat(16_000),
            format!("{}{}", "{a,".repeat(4_000), "}".repeat(4_000)),
            "{a,b}".repeat(3_000),
            "{*,**}".repeat(2_000),
            "[".repeat(100_000),
            "*".repeat(16_000),
        ] {
            for glob in [
                Glob::new(&pattern, &[]),
                Glob::new(&pattern, &['/']),
                Glob::path(&pattern),
                Glob::doublestar(&pattern),
            ]
            .into_iter()
            .flatten()
            {
                let _ = glob.answer(&text);
                let _ = glob.answer(&text[..200]);
            }
        }
    });
}

#[test]
fn what_costs_too_much_is_undecided() {
    let long = answer(&"*a".repeat(15_000), "a", &[]);
    assert_eq!(long, Answer::Undecided(GlobError::TooLong(30_000)));
    let costly = answer(&"*a".repeat(4_000), &"a".repeat(4_000), &[]);
    assert_eq!(costly, Answer::Undecided(GlobError::TooCostly(4_000)));
    // Exponential for a matcher that goes back.
    assert_eq!(
        answer(&"*a".repeat(40), &"a".repeat(39), &[]),
        Answer::NoMatch
    );
    assert!(matches(&"*a".repeat(1_000), &"a".repeat(1_000), &[]));
}

#[test]
fn go_path_patterns() {
    for (pattern, text, expected) in [
        ("*", "apps", true),
        ("*", "apps/v1", false),
        ("**", "apps/v1", false),
        ("a/*/c", "a/b/c", true),
        ("Dep*", "Deployment", true),
        ("[a-z_0-9]x", "_x", true),
        ("[^a-z]x", "ax", false),
        ("[^a]", "/", true),
        ("[!a]", "!", true),
        ("{a,b}", "{a,b}", true),
        (r"a\*", "a*", true),
        ("?", "/", false),
        ("[b-a]", "a", false),
    ] {
        let glob = Glob::path(pattern).expect(pattern);
        assert_eq!(glob.answer(text).allows(), expected, "{pattern} on {text}");
    }
    for pattern in ["[", "[]a]", "[-]", "[a-]", "[x-", "a\\", "[a", "[^"] {
        assert!(Glob::path(pattern).is_err(), "{pattern}");
    }
}

#[test]
fn doublestar_patterns() {
    for (pattern, text, expected) in [
        ("**/values.yaml", "values.yaml", true),
        ("**/values.yaml", "a/b/values.yaml", true),
        ("**/values.yaml", "a/xvalues.yaml", false),
        ("a/**/c", "a/c", true),
        ("a/**/c", "a/b/b/c", true),
        ("a/**/c", "ac", false),
        ("a/**", "a", true),
        ("a/**", "a/b/c", true),
        ("a/**", "ab", false),
        ("**", "", true),
        ("**", "a/b", true),
        ("a**", "ab", true),
        ("a**", "a/b", false),
        ("{a,**/b}/c", "x/y/b/c", true),
        ("{dev,prod}/*.yaml", "prod/x.yaml", true),
        ("[!a]x", "bx", true),
        ("a[^b]c", "a/c", false),
        ("a[.-0]c", "a/c", false),
        ("a[.-0]c", "a.c", true),
    ] {
        let glob = Glob::doublestar(pattern).expect(pattern);
        assert_eq!(glob.answer(text).allows(), expected, "{pattern} on {text}");
    }
    for pattern in ["[", "{a", "a\\", "[b-a]"] {
        assert!(Glob::doublestar(pattern).is_err(), "{pattern}");
    }
}

/// The same language by a library, for patterns without classes and escapes.
fn by_regex(pattern: &str) -> Option<regex::Regex> {
    let mut text = String::from("(?s)^(?:");
    let mut chars = pattern.chars().peekable();
    let mut depth = 0;
    while let Some(c) = chars.next() {
        match c {
            '*' if chars.next_if_eq(&'*').is_some() => {
                while chars.next_if_eq(&'*').is_some() {}
                text.push_str(".*");
            }
            '*' => text.push_str("[^/]*"),
            '?' => text.push_str("[^/]"),
            '{' => {
                depth += 1;
                text.push_str("(?:");
            }
            ',' if depth > 0 => text.push('|'),
            '}' if depth > 0 => {
                depth -= 1;
                text.push(')');
            }
            c => text.push_str(&regex::escape(&c.to_string())),
        }
    }
    (depth == 0).then(|| regex::Regex::new(&(text + ")$")).expect("a regex"))
}

proptest! {
    #[test]
    fn no_text_panics(pattern in "[ab*?{},\\[\\]!^\\\\é$./-]{0,16}", text in "[ab/é.]{0,8}") {
        let _ = answer(&pattern, &text, &['/']);
        let _ = Glob::path(&pattern).map(|glob| glob.answer(&text));
        let _ = Glob::doublestar(&pattern).map(|glob| glob.answer(&text));
    }

    #[test]
    fn plain_text_matches_itself(text in "[a-z0-9/:.@ _é+^$()|-]{0,20}") {
        prop_assert!(matches(&text, &text, &['/']));
    }

    #[test]
    fn the_answer_is_that_of_a_regular_expression(
        pattern in "[ab/*?{},]{0,10}",
        text in "[ab/,]{0,6}",
    ) {
        let ours = Glob::new(&pattern, &['/']).ok();
        let theirs = by_regex(&pattern);
        prop_assert_eq!(ours.is_some(), theirs.is_some());
        if let (Some(ours), Some(theirs)) = (ours, theirs) {
            prop_assert_eq!(ours.answer(&text).allows(), theirs.is_match(&text));
        }
    }
}

#[test]
fn many_texts_share_a_budget() {
    let glob = Glob::new(&"{a,b}".repeat(100), &[]).expect("a pattern");
    let budget = WorkBudget::default();
    // Too long to match, which is seen early; the budget counts the most that it could take.
    let text = "c".repeat(9_000);
    let mut answers = 0;
    while !glob.answer_within(&text, &budget).denies() {
        answers += 1;
        assert!(answers < 10_000, "the budget has an end");
    }
    assert!(answers > 10);
    assert!(glob.answer_within("a", &budget).denies());
}
