//! Label selectors of manifests and command lines.

use std::collections::BTreeMap;

use fuzz::Material;
use reconcile_core::kube_types::{Selector, names};

const MATERIAL: Material = Material {
    examples: &[
        "app=a,tier!=b",
        "env in (dev, prod),!legacy",
        "example.com/name notin (x)",
        "a==b,c",
    ],
    tokens: &[
        "=", "==", "!=", "!", ",", " in ", " notin ", "(", ")", "/", "a", "-", "_", ".",
    ],
};

#[test]
fn selector() {
    let labels = BTreeMap::from([("app".to_owned(), "a".to_owned())]);
    fuzz::run(MATERIAL, |text| {
        if let Ok(selector) = text.parse::<Selector>() {
            let _ = selector.matches(&labels);
        }
        let _ = (
            names::is_dns_subdomain(text),
            names::is_label_key(text),
            names::is_label_value(text),
        );
    });
}
