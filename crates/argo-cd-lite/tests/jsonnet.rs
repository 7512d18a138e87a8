//! Jsonnet sources, rendered by the built binary, which evaluates them in a process of its own.

use std::{fs, process::Command};

const URL: &str = "https://git.example.com/a.git";

/// What `render` prints for a repository with these files and a source in `app` with these options, or its error.
fn render(files: &[(&str, &str)], directory: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().expect("a folder");
    for (path, text) in files {
        let path = folder.path().join("repository").join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("folders");
        fs::write(path, text).expect("a file");
    }
    let app = format!(
        "apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: shop, namespace: argocd}}
spec:
  project: default
  source: {{repoURL: '{URL}', path: app, directory: {directory}}}
  destination: {{server: 'https://kubernetes.default.svc', namespace: shop}}
"
    );
    let file = folder.path().join("app.yaml");
    fs::write(&file, app).expect("a file");
    let output = Command::new(env!("CARGO_BIN_EXE_argo-cd-lite"))
        .args(["render", "-f"])
        .arg(file)
        .arg("--repo-override")
        .arg(format!(
            "{URL}={}",
            folder.path().join("repository").display()
        ))
        .output()
        .expect("the binary runs");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

#[test]
fn a_folder_of_jsonnet_becomes_objects() {
    let main = "
local lib = import 'lib.libsonnet';
function(color) [
  lib.map('a', std.extVar('app')),
  lib.map('b', color) + { data+: { from: importstr '../text.txt' } },
]
";
    let library = "{ map(name, value):: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: name }, data: { value: value } } }";
    let files = [
        ("app/main.jsonnet", main),
        (
            "app/plain.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n",
        ),
        ("vendor/lib.libsonnet", library),
        ("text.txt", "from a file"),
    ];
    let options = "{jsonnet: {libs: [vendor], extVars: [{name: app, value: $ARGOCD_APP_NAME}], tlas: [{name: color, value: \"'bl' + 'ue'\", code: true}]}}";
    let text = render(&files, options).expect("objects");
    for expected in [
        "name: a",
        "name: b",
        "name: c",
        "value: shop",
        "value: blue",
        "from a file",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}

#[test]
fn what_cannot_be_evaluated_names_its_place_and_reads_no_other_file() {
    let secret = tempfile::NamedTempFile::new().expect("a file");
    fs::write(secret.path(), "a secret of the machine").expect("a file");
    let outside = secret.path().display().to_string();
    for (text, expected) in [
        (
            format!("{{a: importstr '{outside}'}}"),
            "there is no such file",
        ),
        (
            format!("{{a: importstr '../../../../../../../../../..{outside}'}}"),
            "there is no such file",
        ),
        (
            "{\n  a: error 'a reason',\n}".to_owned(),
            "app/main.jsonnet:2: a reason",
        ),
        ("{a: std.repeat('x', 1e9)}".to_owned(), "jsonnet"),
        (
            "local f(n) = f(n + 1) tailstrict; f(0)".to_owned(),
            "jsonnet",
        ),
        (
            "{metadata: {name: 'x'}}".to_owned(),
            "a document has no kind",
        ),
    ] {
        let error = render(&[("app/main.jsonnet", &text)], "{}").expect_err(&text);
        assert!(error.contains(expected), "{text}: {error}");
        assert!(!error.contains("a secret"), "{error}");
    }
}
