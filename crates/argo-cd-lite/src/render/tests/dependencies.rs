//! Charts that a chart depends on.

use serde_json::json;
use uuid::Uuid;

use super::tools::{Bench, CHART, REPORT, report};
use crate::{
    render::Logins,
    repo::{
        Trust,
        charts::tests::{
            Bed,
            server::{Page, Server, chart, index},
        },
    },
};

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
        let name = if repository.contains("127.0.0.1") {
            "far"
        } else {
            "base"
        };
        let chart = format!(
            "{CHART}dependencies: [{{name: {name}, version: 1.0.0, repository: '{repository}'}}]\n"
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
        ("FILE://127.0.0.1/etc".to_owned(), "must be a URL"),
        ("@127.0.0.1".to_owned(), "must be a URL"),
    ] {
        let error = depend(&repository).expect_err(&repository).to_string();
        assert!(error.contains(expected), "{repository}: {error}");
    }
}

/// Helm without the chart `web`.
const NEEDS_WEB: &str = r#"
if [ "$1" = dependency ]; then echo 'Error: it would download' >&2; exit 1; fi
if [ ! -f charts/web.tgz ] || [ ! -f charts/own/Chart.yaml ]; then
  echo 'Error: found in Chart.yaml, but missing in charts/ directory: web, own' >&2; exit 1
fi
"#;

#[tokio::test(flavor = "multi_thread")]
async fn charts_of_permitted_repositories_are_downloaded_by_the_lock() {
    let server = Server::start().await;
    let text = index(&[("1.0.0", "web-1.0.0.tgz", ""), ("1.1.0", "missing.tgz", "")]);
    server
        .put("/index.yaml", Page::of(text))
        .put("/web-1.0.0.tgz", Page::of(chart("web", "1.0.0", "a: b")));
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::new(folder.path(), Trust::default());
    let url = server.url();
    let render = |permitted: &str, lock: &str| {
        let mut bench = Bench::new(&format!("{NEEDS_WEB}{REPORT}"));
        let named =
            |version: &str| format!("- {{name: web, version: {version}, repository: '{url}'}}\n");
        let own = "- {name: own, version: 1.0.0, repository: 'file://../own'}\n";
        let chart = format!("{CHART}dependencies:\n{}{own}", named("1.x"));
        bench
            .write("chart/Chart.yaml", &chart)
            .write("own/Chart.yaml", CHART);
        if !lock.is_empty() {
            bench.write(
                "chart/Chart.lock",
                &format!("dependencies:\n{}", named(lock)),
            );
        }
        bench.permit(&bed.hub, &[permitted], &[]);
        tokio::task::spawn_blocking(move || bench.render(json!({"path": "chart"})))
    };
    let set = render("*", "1.0.0")
        .await
        .expect("a thread")
        .expect("a render");
    let files = report(&set, "files");
    assert!(files.contains("./tree/chart/charts/web.tgz"), "{files}");
    for (permitted, lock, expected) in [
        (
            "https://git.example.com/*",
            "1.0.0",
            "the project does not permit",
        ),
        ("*", "", "it is not in Chart.lock"),
        ("*", "2.0.0", "no version that matches"),
        ("*", "1.1.0", "repository not found or no access"),
    ] {
        let result = render(permitted, lock).await.expect("a thread");
        let error = result.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
        assert!(error.contains("web"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_is_open_to_those_only_who_bring_its_credentials() {
    let server = Server::start().await;
    let closed = |page: Page| Page {
        authorization: Some("Basic dTpw".to_owned()),
        ..page
    };
    server
        .put(
            "/index.yaml",
            closed(Page::of(index(&[("1.0.0", "web-1.0.0.tgz", "")]))),
        )
        .put(
            "/web-1.0.0.tgz",
            closed(Page::of(chart("web", "1.0.0", "a: b"))),
        );
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::new(folder.path(), Trust::default());
    let url = server.url();
    let (login, source) = (
        [
            ("url", url.as_str()),
            ("type", "helm"),
            ("username", "u"),
            ("password", "p"),
        ],
        json!({"path": "chart"}),
    );
    bed.secret("repository", &login);
    let caller = Bed::new(folder.path(), Trust::default());
    let shared = || Logins::Shared {
        controller: bed.credentials.clone(),
        caller: caller.credentials.clone(),
    };
    let mut bench = Bench::new(&format!("{NEEDS_WEB}{REPORT}"));
    let web = format!("dependencies:\n- {{name: web, version: 1.0.0, repository: '{url}'}}\n");
    let own = "- {name: own, version: 1.0.0, repository: 'file://../own'}\n";
    bench
        .write("chart/Chart.yaml", &format!("{CHART}{web}{own}"))
        .write("chart/Chart.lock", &web)
        .write("own/Chart.yaml", CHART);
    bench.permit(&bed.hub, &["*"], &[]);
    let inputs = tokio::task::block_in_place(|| bench.inputs(source.clone()));
    assert!(server.count("/web-1.0.0.tgz", 200) == 1 && bench.matches(source.clone(), &inputs));
    let asked = server.asked().len();
    bench.log_in(shared());
    assert!(
        !bench.matches(source.clone(), &inputs),
        "what the controller rendered is not for a caller without the credentials"
    );
    let error = tokio::task::block_in_place(|| bench.error(source.clone()));
    assert!(error.contains("does not bring the credentials"), "{error}");
    assert_eq!(server.asked().len(), asked);
    caller.secret("repository", &login);
    assert!(
        bench.matches(source.clone(), &inputs),
        "the same credentials"
    );
    bench.log_in(Logins::Call(Uuid::new_v4()));
    let of_call = tokio::task::block_in_place(|| bench.inputs(source.clone()));
    assert!(bench.matches(source.clone(), &of_call));
    for other in [Logins::Controller, shared(), Logins::Call(Uuid::new_v4())] {
        bench.log_in(other);
        assert!(!bench.matches(source.clone(), &of_call));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn values_come_from_urls_that_the_settings_permit() {
    let server = Server::start().await;
    server
        .put("/values.yaml?token=secret", Page::of("a: far"))
        .put("/moved.yaml", Page::moved("http://169.254.169.254/latest"));
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::new(folder.path(), Trust::default());
    let url = server.url();
    let render = |schemes: &[&str], file: String| {
        let mut bench = Bench::new(REPORT);
        bench
            .write("Chart.yaml", CHART)
            .write("values.yaml", "a: near");
        bench.permit(&bed.hub, &["*"], schemes);
        let source = json!({"path": ".", "helm": {"valueFiles": ["values.yaml", file]}});
        tokio::task::spawn_blocking(move || bench.render(source))
    };
    let permitted: &[&str] = &["http", "https"];
    let found = render(permitted, format!("{url}/values.yaml?token=secret")).await;
    let set = found.expect("a thread").expect("a render");
    let files = report(&set, "files");
    assert!(files.contains("./values/1.yaml"), "{files}");
    for (schemes, file, expected) in [
        (
            &permitted[1..],
            format!("{url}/values.yaml?token=secret"),
            "helm.valuesFileSchemes",
        ),
        (
            permitted,
            format!("{url}/none.yaml?token=secret"),
            "does not have the file",
        ),
        (permitted, format!("{url}/moved.yaml"), "link-local"),
        (
            permitted,
            "http://169.254.169.254/x".to_owned(),
            "link-local",
        ),
        (
            permitted,
            "file:///etc/passwd".to_owned(),
            "not downloaded by file",
        ),
        (
            &["file"],
            "file:///etc/passwd".to_owned(),
            "not downloaded by file",
        ),
    ] {
        let result = render(schemes, file.clone()).await.expect("a thread");
        let error = result.expect_err(&file).to_string();
        assert!(error.contains(expected), "{file}: {error}");
        assert!(!error.contains("token"), "{error}");
    }
    let asked = server.asked();
    assert!(
        asked.iter().all(|one| one.authorization.is_none()),
        "{asked:?}"
    );
}
