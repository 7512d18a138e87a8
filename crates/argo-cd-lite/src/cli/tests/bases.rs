//! Bases that kustomizations name by address.

use std::os::unix::fs::PermissionsExt;

use super::*;

/// A kustomize that shows the files of its sandbox, and the kustomizations there as values.
const SHOW: &str = r#"#!/bin/sh
if [ "$1" = edit ]; then exit 0; fi
cd "$HOME/.."
for file in $(find . -name 'base*.yaml' | sort); do
  echo "---"; cat "$file"
done
"#;

#[test]
fn remote_bases_are_fetched_as_the_controller_does() {
    let base = Origin::new();
    base.write("app/kustomization.yaml", "resources: [base.yaml]\n");
    base.write("app/base.yaml", &config("of-the-base", "1"));
    base.commit("1");
    let at = base.url();
    let at = at.strip_prefix("file://").expect("a path");
    let kustomization = |address: &str| format!("resources: ['{address}']\n");
    let named = "https://git.example.com/base.git";
    let files = folder(&[
        (
            "named/kustomization.yaml",
            &kustomization(&format!("{named}//app?ref=main")),
        ),
        (
            "local/kustomization.yaml",
            &kustomization(&format!("{}//app?ref=main", base.url())),
        ),
        (
            "metadata/kustomization.yaml",
            &kustomization("http://169.254.169.254/base.git//app"),
        ),
        ("kustomize", SHOW),
    ]);
    let program = files.path().join("kustomize");
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&program, mode).expect("a program");
    let render = |path: &str, more: &[&str]| {
        let app = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": {"name": "app"},
            "spec": {
                "source": {"repoURL": "https://git.example.com/app.git", "path": path},
                "destination": {"namespace": "shop"},
            },
        });
        let app = folder(&[("app.yaml", &app.to_string())]);
        let own = format!("https://git.example.com/app.git={}", text(files.path()));
        let file = app.path().join("app.yaml");
        let line = ["render", "-f", text(&file), "--repo-override", &own];
        let tools = ["--kustomize-binary", text(&program)];
        run_line(&[&line, &tools[..], more].concat())
    };
    let instead = format!("{named}={at}");
    let (code, rendered) = render("named", &["--repo-override", &instead]).expect("an answer");
    assert_eq!(code, 0);
    assert!(rendered.contains("name: of-the-base"), "{rendered}");
    // What a repository names is no repository of this machine, and no metadata service.
    for (path, problem) in [
        ("local", "does not permit"),
        ("metadata", "--repositories-allow-link-local"),
    ] {
        let error = render(path, &[]).expect_err("refused");
        assert!(error.contains(problem), "{path}: {error}");
    }
}
