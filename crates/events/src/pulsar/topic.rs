//! Names of topics.

/// Bytes of a name.
const LONGEST: usize = 512;

/// The whole name of a topic, which a manifest may shorten as clients of Pulsar do.
pub(crate) fn whole(text: &str) -> Result<String, &'static str> {
    const FORM: &str = "must be NAME, TENANT/NAMESPACE/NAME or persistent://TENANT/NAMESPACE/NAME";
    if text.len() > LONGEST {
        return Err("must have 512 bytes at most");
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(FORM);
    }
    let (kind, path) = text.split_once("://").unwrap_or(("persistent", text));
    if !matches!(kind, "persistent" | "non-persistent") {
        return Err(FORM);
    }
    let parts: Vec<&str> = path.split('/').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(FORM);
    }
    match (parts.len(), text.contains("://")) {
        (1, false) => Ok(format!("persistent://public/default/{path}")),
        (3, _) => Ok(format!("{kind}://{path}")),
        _ => Err(FORM),
    }
}

/// The topics behind one with so many partitions; itself when it has none.
pub(crate) fn parts(topic: &str, partitions: u32) -> impl Iterator<Item = String> {
    (0..partitions.max(1)).map(move |number| part(topic, partitions, number))
}

/// The topic behind a partition.
pub(crate) fn part(topic: &str, partitions: u32, number: u32) -> String {
    match partitions {
        0 => topic.to_owned(),
        _ => format!("{topic}-partition-{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_completed_as_clients_do() {
        for (text, name) in [
            ("orders", "persistent://public/default/orders"),
            ("shop/eu/orders", "persistent://shop/eu/orders"),
            ("persistent://a/b/c", "persistent://a/b/c"),
            ("non-persistent://a/b/c", "non-persistent://a/b/c"),
        ] {
            assert_eq!(whole(text).as_deref(), Ok(name));
        }
        for text in [
            "",
            "a/b",
            "a//c",
            "a/b/c/d",
            "persistent://orders",
            "http://a/b/c",
            "a b",
        ] {
            whole(text).expect_err(text);
        }
        whole(&"a".repeat(LONGEST + 1)).expect_err("too long");
    }

    #[test]
    fn a_topic_without_partitions_is_its_own_part() {
        assert_eq!(parts("t", 0).collect::<Vec<_>>(), ["t"]);
        assert_eq!(
            parts("t", 2).collect::<Vec<_>>(),
            ["t-partition-0", "t-partition-1"]
        );
    }
}
