//! Names and their hashes.

use proptest::prelude::*;

use crate::kube_types::names::{
    fnv1_32, fnv1a_32, fnv1a_64, is_dns_label, is_dns_subdomain, is_label_key, is_label_value,
    random_suffix, safe_encode, truncate,
};

#[test]
fn names_are_judged_as_the_api_server_does() {
    for good in ["a", "a-b", "0a", &"x".repeat(63)] {
        assert!(is_dns_label(good), "{good} is a label");
    }
    for bad in ["", "-a", "a-", "A", "a.b", "a_b", &"x".repeat(64)] {
        assert!(!is_dns_label(bad), "{bad} is no label");
    }
    assert!(is_dns_subdomain("a.b-c.d") && is_dns_subdomain(&"x".repeat(253)));
    assert!(!is_dns_subdomain("a..b") && !is_dns_subdomain(&"x".repeat(254)));
    assert!(is_label_key("app.kubernetes.io/name") && is_label_key("A_b.c"));
    assert!(!is_label_key("a/b/c") && !is_label_key("/a") && !is_label_key("a/"));
    assert!(is_label_value("") && is_label_value("V1.2_x") && !is_label_value("a b"));
}

#[test]
fn hashes_are_those_of_go() {
    // Published test vectors of FNV.
    assert_eq!(fnv1a_32(b""), 0x811c_9dc5);
    assert_eq!(fnv1a_32(b"foobar"), 0xbf9c_f968);
    assert_eq!(fnv1_32(b"foobar"), 0x31f0_b262);
    assert_eq!(fnv1a_64(b"foobar"), 0x8594_4171_f739_67e8);
    // '0'..'9' are 48..57; modulo 27 they give letters 21..26, 0..3.
    assert_eq!(safe_encode("0123456789"), "456789bcdf");
}

#[test]
fn long_names_stay_apart_when_cut() {
    let one = truncate(&format!("{}-one", "x".repeat(80)), 63);
    let two = truncate(&format!("{}-two", "x".repeat(80)), 63);
    assert_ne!(one, two);
    assert_eq!((one.len(), truncate("short", 63)), (63, "short".to_owned()));
}

proptest! {
    #[test]
    fn a_cut_name_fits_and_is_a_name(name in "[a-z][a-z0-9-]{0,120}[a-z]", max in 10_usize..100) {
        let cut = truncate(&name, max);
        prop_assert!(cut.len() <= max);
        prop_assert!(is_dns_subdomain(&cut), "{}", cut);
    }

    #[test]
    fn a_suffix_has_its_length(number in any::<u64>()) {
        prop_assert!(random_suffix(number, 5).len() == 5 && is_dns_label(&random_suffix(number, 5)));
    }
}
