//! The manifests of the guides are accepted as they stand there.

use std::process::Command;

/// The pages with manifests of the Events kinds.
const PAGES: &[(&str, &str)] = &[
    (
        "event-sources.md",
        include_str!("../../../docs/event-sources.md"),
    ),
    ("triggers.md", include_str!("../../../docs/triggers.md")),
];

/// The YAML blocks of a page that are whole manifests, each with the number of its first line.
fn manifests(page: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut block: Option<(usize, String)> = None;
    for (number, line) in (1..).zip(page.lines()) {
        match &mut block {
            None if line == "```yaml" => block = Some((number + 1, String::new())),
            None => {}
            Some(_) if line == "```" => found.extend(block.take()),
            Some((_, text)) => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    let whole = |text: &str| {
        text.contains("apiVersion: argoproj.io/v1alpha1")
            && ["EventSource", "Sensor", "EventBus"]
                .iter()
                .any(|kind| text.contains(&format!("kind: {kind}\n")))
    };
    found.retain(|(_, text)| whole(text));
    found
}

#[test]
fn the_manifests_of_the_guides_are_accepted_without_a_warning() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, page) in PAGES {
        let found = manifests(page);
        assert!(found.len() > 5, "{name} has {} manifests", found.len());
        for (line, text) in found {
            let file = folder.path().join(format!("{name}-{line}.yaml"));
            std::fs::write(&file, text).expect("written");
            let lint = Command::new(env!("CARGO_BIN_EXE_events"))
                .arg("lint")
                .arg(&file)
                .output()
                .expect("events runs");
            let said = String::from_utf8_lossy(&lint.stdout).into_owned()
                + &String::from_utf8_lossy(&lint.stderr);
            assert!(
                lint.status.success() && !said.contains("warning: "),
                "docs/{name}, line {line}: {said}"
            );
        }
    }
}
