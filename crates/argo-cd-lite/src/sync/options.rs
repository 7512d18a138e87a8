//! Sync options: the values of `syncOptions` and of the `sync-options` annotation.

/// A set of options as they were written, for example `Prune=false`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SyncOptions(Vec<Box<str>>);

/// Options that have an effect for a whole application.
const FOR_APPLICATIONS: &[&str] = &[
    "Prune=false",
    "Prune=true",
    "Prune=confirm",
    "Delete=false",
    "Delete=true",
    "Delete=confirm",
    "PruneLast=true",
    "PruneLast=false",
    "PrunePropagationPolicy=foreground",
    "PrunePropagationPolicy=background",
    "PrunePropagationPolicy=orphan",
    "Replace=true",
    "Replace=false",
    "Force=true",
    "Force=false",
    "ServerSideApply=true",
    "ServerSideApply=false",
    "CreateNamespace=true",
    "CreateNamespace=false",
    "ApplyOutOfSyncOnly=true",
    "ApplyOutOfSyncOnly=false",
    "Validate=false",
    "Validate=true",
    "SkipDryRunOnMissingResource=true",
    "SkipDryRunOnMissingResource=false",
    "RespectIgnoreDifferences=true",
    "RespectIgnoreDifferences=false",
    "FailOnSharedResource=true",
    "FailOnSharedResource=false",
    "ClientSideApplyMigration=true",
    "ClientSideApplyMigration=false",
];

impl SyncOptions {
    /// From the list of a `syncPolicy` or an operation.
    pub fn from_list<'a>(options: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for option in options {
            set.insert(option);
        }
        set
    }

    /// From the comma list of an annotation; blanks around words do not count.
    pub fn from_annotation(text: &str) -> Self {
        Self::from_list(text.split(','))
    }

    fn insert(&mut self, option: &str) {
        let option = option.trim();
        if !option.is_empty() && !self.has(option) {
            self.0.push(option.into());
        }
    }

    /// True when `option` is in the set.
    pub fn has(&self, option: &str) -> bool {
        self.0.iter().any(|known| **known == *option)
    }

    /// True when nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Value of a `Name=value` option.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find_map(|option| option.strip_prefix(name)?.strip_prefix('='))
    }

    /// Options that we would not honour, as they were written.
    pub fn unsupported(&self) -> Vec<String> {
        self.0
            .iter()
            .filter(|option| !FOR_APPLICATIONS.contains(&option.as_ref()))
            .map(ToString::to_string)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_trimmed_and_kept_once() {
        let options = SyncOptions::from_annotation(" Prune=false ,Replace=true,, Prune=false");
        assert!(options.has("Prune=false") && options.has("Replace=true"));
        assert_eq!(options.0.len(), 2);
        assert_eq!(options.value("Replace"), Some("true"));
    }

    #[test]
    fn what_has_no_effect_is_named() {
        let options = SyncOptions::from_list(["Prune=confirm", "CreateNamespace=true", "Bogus=1"]);
        assert_eq!(options.unsupported(), ["Bogus=1"]);
    }
}
