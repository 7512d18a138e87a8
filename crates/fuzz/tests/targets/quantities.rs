//! Quantities, durations and percentages of manifests.

use expressions::go_text;
use fuzz::Material;
use reconcile_core::kube_types::{GoDuration, IntOrString, Quantity, int_or_percent::Round};

const MATERIAL: Material = Material {
    examples: &[
        "1h30m0.5s",
        "100m",
        "1.5Gi",
        "-3e9",
        "25%",
        "0.000000001",
        "1µs",
        "12345678901234567890",
    ],
    tokens: &[
        "h",
        "m",
        "s",
        "ms",
        "µs",
        "ns",
        ".",
        "-",
        "+",
        "e",
        "E",
        "Ki",
        "Ei",
        "%",
        "0",
        "9",
        "99999999999999999999",
    ],
};

#[test]
fn quantities() {
    fuzz::run(MATERIAL, |text| {
        if let Ok(duration) = text.parse::<GoDuration>() {
            // What is printed is read as the same.
            assert_eq!(duration.to_string().parse(), Ok(duration));
        }
        let _ = GoDuration::parse_or_seconds(text);
        let _ = go_text::duration::parse(text).map(go_text::duration::format);
        if let Ok(quantity) = text.parse::<Quantity>() {
            let _ = (quantity.value(), quantity.milli_value(), quantity.as_f64());
        }
        let _ = Quantity::canonical(text);
        let _ = IntOrString::String(text.to_owned()).resolve(i32::MAX, Round::Up);
        let _ = IntOrString::String(text.to_owned()).resolve_strict(7, Round::Down);
    });
}
