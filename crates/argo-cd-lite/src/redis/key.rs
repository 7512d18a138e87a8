//! The keys of Argo CD's cache that the controller answers itself.

/// What a key asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Query {
    /// The objects of an Application and what they own, by instance name.
    Tree(String),
    /// The objects of an Application on both sides, by instance name.
    Managed(String),
    /// The state of a cluster, by the URL of its server.
    Cluster(String),
}

/// A key that the controller answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LiveKey {
    /// What it asks for.
    pub(super) query: Query,
    /// The value is compressed by gzip.
    pub(super) gzip: bool,
}

const TREE: &str = "app|resources-tree|";
/// Also the name of the channel on which changes are published.
const MANAGED: &str = "app|managed-resources|";
const CLUSTER: &str = "cluster|info|";

impl LiveKey {
    /// Reads a key as clients send it, `<key>|<version>` with `.gz` when the values are compressed. `None` for keys that
    /// clients write themselves, and for those of another version of the cache.
    pub(super) fn parse(key: &[u8], version: &str) -> Option<Self> {
        let text = std::str::from_utf8(key).ok()?;
        let (text, gzip) = match text.strip_suffix(".gz") {
            Some(text) => (text, true),
            None => (text, false),
        };
        let text = text.strip_suffix(version)?.strip_suffix('|')?;
        let query = if let Some(instance) = text.strip_prefix(TREE) {
            // Further shards, `<app>|1`, do not exist: the first one holds the whole tree.
            Query::Tree(name(instance)?)
        } else if let Some(instance) = text.strip_prefix(MANAGED) {
            Query::Managed(name(instance)?)
        } else {
            let server = text.strip_prefix(CLUSTER)?;
            Query::Cluster(server.trim_end_matches('/').to_owned())
        };
        Some(Self { query, gzip })
    }
}

fn name(instance: &str) -> Option<String> {
    (!instance.is_empty() && !instance.contains('|')).then(|| instance.to_owned())
}

/// The channel on which changes of an Application are published.
pub(super) fn channel(instance: &str) -> String {
    format!("{MANAGED}{instance}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(key: &str) -> Option<(Query, bool)> {
        LiveKey::parse(key.as_bytes(), "1.8.3").map(|key| (key.query, key.gzip))
    }

    #[test]
    fn keys_are_read_with_version_and_compression() {
        let tree = Query::Tree("shop".into());
        assert_eq!(
            parse("app|resources-tree|shop|1.8.3.gz"),
            Some((tree.clone(), true))
        );
        assert_eq!(parse("app|resources-tree|shop|1.8.3"), Some((tree, false)));
        let managed = Query::Managed("team_shop".into());
        assert_eq!(
            parse("app|managed-resources|team_shop|1.8.3.gz"),
            Some((managed, true))
        );
        let cluster = Query::Cluster("https://kubernetes.default.svc".into());
        assert_eq!(
            parse("cluster|info|https://kubernetes.default.svc|1.8.3.gz"),
            Some((cluster, true))
        );
    }

    #[test]
    fn other_keys_belong_to_the_clients() {
        for key in [
            "app|resources-tree|shop|1.8.2.gz",
            "app|resources-tree|shop",
            "app|resources-tree|shop|1|1.8.3.gz",
            "app|resources-tree||1.8.3.gz",
            "revoked-token|abc|1.8.3",
            "",
        ] {
            assert_eq!(parse(key), None, "{key}");
        }
    }
}
