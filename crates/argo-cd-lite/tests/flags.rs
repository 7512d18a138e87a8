//! The command line of the built binary.

use std::process::Command;

#[test]
fn the_help_lists_the_flags_in_the_spelling_that_users_know() {
    let output = Command::new(env!("CARGO_BIN_EXE_argo-cd-lite"))
        .args(["controller", "--help"])
        .output()
        .expect("the binary starts");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}");
    for flag in [
        "--kubeconfig",
        "--namespace",
        "--app-resync",
        "--status-processors",
        "--operation-processors",
        "--metrics-port",
        "--leader-elect",
        "--loglevel",
        "--logformat",
    ] {
        assert!(text.contains(flag), "{flag} is missing:\n{text}");
    }
}

#[test]
fn a_kubeconfig_that_is_not_there_is_named_and_ends_the_process() {
    let output = Command::new(env!("CARGO_BIN_EXE_argo-cd-lite"))
        .args([
            "controller",
            "--kubeconfig",
            "/nowhere/config",
            "--leader-elect=false",
        ])
        .output()
        .expect("the binary starts");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("/nowhere/config"), "{text}");
}
