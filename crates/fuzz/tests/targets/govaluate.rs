//! `filters.exprs` of sensors.

use std::collections::BTreeMap;

use expressions::govaluate::{Expression, Value};
use fuzz::Material;

const MATERIAL: Material = Material {
    examples: &[
        "a == \"x\" || b > 3",
        "a =~ \"^x\" && !(b in (1, 2, 3))",
        "b ?? 1 ? 'y' : 'n'",
        "[a b] + -1 ** 2 >> 1",
        "'2024-01-02' < b",
    ],
    tokens: &[
        "(", ")", "[", "]", "==", "=~", "!~", "&&", "||", "??", "?", ":", "!", "-", "~", "**",
        "<<", ">>", ",", " in ", "'", "\"", "\\", "1e308", "0x",
    ],
};

#[test]
fn govaluate() {
    let variables = BTreeMap::from([
        ("a".to_owned(), Value::Text("x".to_owned())),
        ("b".to_owned(), Value::Number(3.0)),
    ]);
    fuzz::run(MATERIAL, |text| {
        if let Ok(expression) = Expression::parse(text) {
            let _ = expression.evaluate(&variables);
        }
    });
}
