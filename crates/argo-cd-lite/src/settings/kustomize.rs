//! Which kustomize renders, and with which flags.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use super::SettingProblem;

/// Prefix of the keys.
pub(super) const PREFIX: &str = "kustomize.";

/// The programs that sources may choose, and the flags of `kustomize build`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KustomizeSettings {
    /// Flags of the default program, and of versions without flags of their own.
    pub build_options: Vec<String>,
    /// Programs by the name that `kustomize.version` of a source gives.
    pub versions: BTreeMap<String, KustomizeVersion>,
}

/// A program beside the default one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KustomizeVersion {
    /// Path of the program; empty when only flags are given.
    pub path: PathBuf,
    /// Flags in place of the default ones.
    pub build_options: Option<Vec<String>>,
}

impl KustomizeSettings {
    /// Takes one key of the ConfigMap.
    pub(super) fn read(&mut self, key: &str, text: &str) -> Result<(), SettingProblem> {
        let name = key.strip_prefix(PREFIX).unwrap_or(key);
        if name == "buildOptions" {
            self.build_options = words(text);
            return Ok(());
        }
        if let Some(version) = name.strip_prefix("buildOptions.") {
            self.version(version).build_options = Some(words(text));
            return Ok(());
        }
        // `kustomize.version.` is the older spelling.
        let version = (name.strip_prefix("path.")).or_else(|| name.strip_prefix("version."));
        let Some(version) = version else {
            return Err(SettingProblem::new(
                key,
                "it is not one of kustomize.buildOptions, kustomize.buildOptions.VERSION, kustomize.path.VERSION",
            ));
        };
        let path = PathBuf::from(text.trim());
        if !path.is_absolute() {
            return Err(SettingProblem::new(
                key,
                "the path of the program must be absolute",
            ));
        }
        self.version(version).path = path;
        Ok(())
    }

    fn version(&mut self, name: &str) -> &mut KustomizeVersion {
        self.versions.entry(name.to_owned()).or_default()
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_programs_and_flags_of_their_own() {
        let mut settings = KustomizeSettings::default();
        for (key, text) in [
            ("kustomize.buildOptions", "--enable-helm  --stack-trace"),
            ("kustomize.buildOptions.v4.5.7", "--reorder none"),
            ("kustomize.path.v4.5.7", " /custom/kustomize_4_5_7 "),
            ("kustomize.version.old", "/custom/old"),
        ] {
            settings.read(key, text).expect(key);
        }
        assert_eq!(settings.build_options, ["--enable-helm", "--stack-trace"]);
        let version = &settings.versions["v4.5.7"];
        assert_eq!(version.path, PathBuf::from("/custom/kustomize_4_5_7"));
        assert_eq!(
            version.build_options.as_deref(),
            Some(&["--reorder".to_owned(), "none".to_owned()][..])
        );
        assert_eq!(settings.versions["old"].build_options, None);
        for (key, text) in [
            ("kustomize.path.v5", "kustomize"),
            ("kustomize.colour", "red"),
        ] {
            let problem = settings.read(key, text).expect_err(key);
            assert_eq!(problem.key, key);
        }
    }
}
