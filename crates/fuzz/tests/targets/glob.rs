//! Patterns of projects and filters, in all dialects.

use expressions::glob::{Glob, answer};
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        "https://git.example.com/*/app",
        "{a,b/**}[!x-z]?",
        "team-*",
        r"\*\[",
        "**/values.yaml",
    ],
    tokens: &[
        "*", "**", "?", "[", "]", "[!", "[^", "{", "}", ",", "\\", "/", "*a", "{a,", "a-z",
    ],
};

#[test]
fn glob() {
    fuzz::run(MATERIAL, |text| {
        let (pattern, subject) = text.split_once(' ').unwrap_or((text, "aaaa/b"));
        let _ = answer(pattern, subject, &[]);
        let _ = answer(pattern, subject, &['/']);
        let _ = Glob::path(pattern).map(|glob| glob.answer(subject));
        let _ = Glob::doublestar(pattern).map(|glob| glob.answer(subject));
    });
}
