//! Conditions of triggers.

use expressions::conditions::Condition;
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &["a && (b || c)", "dep-1 || dep-2", "((a))"],
    tokens: &["(", ")", "&&", "||", "a", " ", "!", "-", "\""],
};

#[test]
fn conditions() {
    fuzz::run(MATERIAL, |text| {
        if let Ok(condition) = Condition::parse(text) {
            let _ = condition.holds(|name| name == "a");
            let _ = condition.names();
        }
    });
}
