//! What the settings say about kustomize, and what kustomizations name by address.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::json;

use super::tools::{Bench, REPORT, report};
use crate::{
    repo::{
        Trust,
        charts::tests::{
            Bed,
            server::{Page, Server, chart, index},
        },
        tests::{Origin, large_files::LfsServer},
    },
    settings::KustomizeVersion,
};

/// Tells what a file of the machine holds, as far as the program may know, and the kustomizations of the sandbox.
const SPY: &str = r#"
if [ "$1" = edit ]; then exit 0; fi
echo 'apiVersion: v1'
echo 'kind: ConfigMap'
echo 'metadata: {name: spy}'
echo 'data:'
echo '  passwd: |'
echo "    begin"
while read -r line; do echo "    $line"; done < /etc/passwd
echo "    end"
echo '  kustomizations: |'
cd "$HOME/.."
for file in $(find . -name kustomization.yaml | sort); do
  echo "    $file"; sed 's/^/      /' "$file"
done
"#;

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn the_settings_choose_program_and_flags() {
    let mut bench = Bench::new(REPORT);
    bench.write("k/kustomization.yaml", "resources: []\n");
    bench.kustomize.build_options = words("--stack-trace --reorder none");
    let arguments = |bench: &Bench, options: serde_json::Value| {
        let set = bench.render(json!({"path": "k", "kustomize": options}));
        report(&set.expect("a render"), "arguments")
    };
    assert_eq!(
        arguments(&bench, json!({})),
        "build\n.\n--stack-trace\n--reorder=none\n"
    );
    let other = bench.folder.path().join("kustomize-4");
    fs::write(
        &other,
        format!("#!/bin/sh\n{}", REPORT.replace("report", "old")),
    )
    .expect("a script");
    fs::set_permissions(&other, fs::Permissions::from_mode(0o700)).expect("rights");
    let version = |flags: Option<&str>| KustomizeVersion {
        path: other.clone(),
        build_options: flags.map(words),
    };
    let versions = [
        ("v4", version(Some("--helm-debug"))),
        ("plain", version(None)),
    ];
    bench.kustomize.versions = versions
        .map(|(name, version)| (name.to_owned(), version))
        .into();
    assert_eq!(
        arguments(&bench, json!({"version": "v4"})),
        "build\n.\n--helm-debug\n"
    );
    assert_eq!(
        arguments(&bench, json!({"version": "plain"})),
        "build\n.\n--stack-trace\n--reorder=none\n"
    );
    let error = bench.error(json!({"path": "k", "kustomize": {"version": "v9"}}));
    assert!(
        error.contains("set kustomize.path.v9 in argocd-cm"),
        "{error}"
    );
    for flags in [
        "--enable-exec",
        "--enable-alpha-plugins",
        "--network",
        "-o /tmp/x",
        "--output=/tmp/x",
        "--helm-command sh",
        "--mount type=bind",
        "/etc",
        "--reorder",
    ] {
        bench.kustomize.build_options = words(flags);
        let error = bench.error(json!({"path": "k"}));
        assert!(
            error.contains("kustomize.buildOptions of argocd-cm"),
            "{flags}: {error}"
        );
    }
}

#[test]
fn without_its_own_restriction_the_program_reads_no_file_of_the_machine() {
    let mut bench = Bench::new(SPY);
    bench.write("k/kustomization.yaml", "resources: []\n");
    for (flags, sees) in [
        ("", true),
        ("--load-restrictor LoadRestrictionsNone", false),
        ("--enable-helm", false),
    ] {
        bench.kustomize.build_options = words(flags);
        let set = bench.render(json!({"path": "k"})).expect("a render");
        let seen = report(&set, "passwd");
        assert!(seen.contains("end"), "{flags}: {seen}");
        assert_eq!(seen.contains("root"), sees, "{flags}: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bases_and_files_by_address_are_fetched_by_the_rules_of_the_project() {
    let origin = Origin::new();
    origin
        .write("base/kustomization.yaml", "resources: [../more, cm.yaml]\n")
        .write("base/cm.yaml", "a: b\n")
        .write("more/kustomization.yaml", "namePrefix: x-\n")
        .commit("one");
    let server = Server::start().await;
    server.put("/far.yaml?token=secret", Page::of("kind: Far\n"));
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::new(folder.path(), Trust::default());
    let (repository, url) = (origin.url(), server.url());
    let render = |permitted: &str, resource: String| {
        let mut bench = Bench::new(SPY);
        bench.write(
            "k/kustomization.yaml",
            &format!("resources: ['{resource}']\n"),
        );
        bench.permit(&bed.hub, &[permitted], &[]);
        tokio::task::spawn_blocking(move || bench.render(json!({"path": "k"})))
    };
    let base = format!("{repository}//base?ref=HEAD");
    let set = render("*", base.clone())
        .await
        .expect("a thread")
        .expect("a render");
    let found = report(&set, "kustomizations");
    for expected in [
        "./remote/0/base/kustomization.yaml",
        "./remote/0/more/kustomization.yaml",
        "- ../../remote/0/base",
    ] {
        assert!(found.contains(expected), "{expected}: {found}");
    }
    let set = render("*", format!("{url}/far.yaml?token=secret")).await;
    let found = report(&set.expect("a thread").expect("a render"), "kustomizations");
    assert!(found.contains("- .remote-"), "{found}");
    for (permitted, resource, expected) in [
        ("https://elsewhere/*", base, "the project does not permit"),
        ("*", format!("{repository}//none?ref=HEAD"), "none"),
        (
            "*",
            format!("{repository}//base?ref=no"),
            "cannot read the base",
        ),
        (
            "*",
            format!("{repository}//../../etc"),
            "neither a path nor an address",
        ),
        (
            "*",
            format!("{url}/none.yaml?token=secret"),
            "does not have the file",
        ),
        (
            "*",
            "http://169.254.169.254/x.yaml".to_owned(),
            "link-local",
        ),
    ] {
        let result = render(permitted, resource.clone()).await.expect("a thread");
        let error = result.expect_err(&resource).to_string();
        assert!(error.contains(expected), "{resource}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pointers_of_a_base_are_downloaded_before_the_program_runs() {
    let origin = Origin::new();
    let server = LfsServer::start(origin.folder()).await;
    // The kustomization itself is in Git LFS, and so is what it names.
    let pointer = server.keep("resources: [map.yaml]\n");
    origin.write("base/kustomization.yaml", &pointer);
    origin
        .write("base/map.yaml", &server.keep("a: 1\n"))
        .commit("1");
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::new(folder.path(), Trust::default());
    let url = server.url();
    let render = || {
        let mut bench = Bench::new(SPY);
        let base = format!("resources: ['{url}//base?ref=main']\n");
        bench.write("k/kustomization.yaml", &base);
        bench.permit(&bed.hub, &["*"], &[]);
        tokio::task::spawn_blocking(move || bench.render(json!({"path": "k"})))
    };
    let members = [
        ("url", url.as_str()),
        ("username", "git"),
        ("password", "hush"),
    ];
    bed.secret("repository", &members);
    // Without the member the pointer is the kustomization; the real program refuses it.
    let set = render().await.expect("a thread").expect("a render");
    let found = report(&set, "kustomizations");
    assert!(found.contains("oid sha256:"), "{found}");
    let mut enabled = members.to_vec();
    enabled.push(("enableLfs", "true"));
    bed.secret("repository", &enabled);
    let set = render().await.expect("a thread").expect("a render");
    let found = report(&set, "kustomizations");
    assert!(found.contains("resources: [map.yaml]"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn charts_of_a_kustomization_come_from_permitted_repositories() {
    let server = Server::start().await;
    server
        .put(
            "/index.yaml",
            Page::of(index(&[("1.0.0", "web-1.0.0.tgz", "")])),
        )
        .put("/web-1.0.0.tgz", Page::of(chart("web", "1.0.0", "a: b")));
    let folder = tempfile::tempdir().expect("a folder");
    let bed = Bed::new(folder.path(), Trust::default());
    let url = server.url();
    let render = |permitted: &str, name: &str, flags: &str| {
        let mut bench = Bench::new(REPORT);
        let charts = format!("helmCharts: [{{name: {name}, version: 1.0.0, repo: '{url}'}}]\n");
        bench
            .write("k/kustomization.yaml", &charts)
            .write("k/charts/own-1.0.0/own/Chart.yaml", "name: own\n");
        bench.kustomize.build_options = words(flags);
        bench.permit(&bed.hub, &[permitted], &[]);
        tokio::task::spawn_blocking(move || bench.render(json!({"path": "k"})))
    };
    let helm = "--enable-helm";
    let set = render("*", "web", helm)
        .await
        .expect("a thread")
        .expect("a render");
    let files = report(&set, "files");
    assert!(
        files.contains("./tree/k/charts/web-1.0.0/web/values.yaml"),
        "{files}"
    );
    let arguments = report(&set, "arguments");
    assert!(
        arguments.contains("--enable-helm\n--helm-command\n"),
        "{arguments}"
    );
    // What the repository has is not downloaded.
    let own = render("https://elsewhere/*", "own", helm).await;
    own.expect("a thread").expect("a chart of the repository");
    for (permitted, name, flags, expected) in [
        (
            "https://elsewhere/*",
            "web",
            helm,
            "the project does not permit",
        ),
        ("*", "none", helm, "none"),
        ("*", "../web", helm, "no name of a chart"),
        ("*", "web", "", "helmCharts needs --enable-helm"),
    ] {
        let result = render(permitted, name, flags).await.expect("a thread");
        let error = result.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}");
    }
}
