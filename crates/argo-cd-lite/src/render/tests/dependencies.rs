//! Charts that a chart depends on.

use serde_json::json;

use super::tools::{Bench, CHART, REPORT, report};

/// Helm without the charts that a chart depends on, as long as `dependency build` was not run.
const NEEDS_DEPENDENCIES: &str = r#"
if [ "$1" = dependency ]; then touch "$HOME/built"; exit 0; fi
if [ ! -f "$HOME/built" ]; then
  echo 'Error: found in Chart.yaml, but missing in charts/ directory: base' >&2; exit 1
fi
"#;

#[test]
fn charts_that_a_chart_depends_on_come_from_its_repository_only() {
    let bench = Bench::new(&format!("{NEEDS_DEPENDENCIES}{REPORT}"));
    // What helm reads by an absolute path is a folder of the machine, whatever the repository has at the same place.
    let outside = tempfile::tempdir().expect("a folder");
    let outside = outside.path().to_string_lossy().into_owned();
    let decoy = format!("chart{outside}/Chart.yaml");
    bench
        .write("lib/base/Chart.yaml", CHART)
        .write(&decoy, CHART)
        .write("deep/a/b/c/Chart.yaml", CHART)
        .write("chart/charts/base/Chart.yaml", CHART)
        .link("chart/link", "../deep/a/b/c");
    let depend = |repository: &str| {
        let chart = format!(
            "{CHART}dependencies: [{{name: base, version: 1.0.0, repository: '{repository}'}}]\n"
        );
        bench.write("chart/Chart.yaml", &chart);
        bench.render(json!({"path": "chart"}))
    };
    let set = depend("file://../lib/base").expect("a render");
    let files = report(&set, "files");
    assert!(files.contains("./tree/lib/base/Chart.yaml"), "{files}");
    depend("").expect("a chart in the charts folder");
    for (repository, expected) in [
        (format!("file://{outside}"), "must be relative"),
        ("file:///etc".to_owned(), "must be relative"),
        (
            "file://../../../../etc".to_owned(),
            "outside of the repository",
        ),
        // Helm takes the parts of a path away one by one, without a look at what the link leads to.
        (
            "file://link/../../../x".to_owned(),
            "outside of the repository",
        ),
        ("http://127.0.0.1:1/charts".to_owned(), "not downloaded"),
        ("FILE:///etc".to_owned(), "not downloaded"),
        ("@local".to_owned(), "not downloaded"),
    ] {
        let error = depend(&repository).expect_err(&repository).to_string();
        assert!(error.contains(expected), "{repository}: {error}");
    }
}
