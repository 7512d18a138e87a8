//! What the command line of every operator's binary must do.

use std::process::{Command, Output};

/// Checks the built `binary`: `controller --help` lists `flags` in the spelling that users know, and a kubeconfig that
/// is not there is named and ends the process.
///
/// # Panics
/// When the binary does something else.
pub fn check_command_line(binary: &str, flags: &[&str]) {
    let help = run(binary, &["--help"]);
    let text = String::from_utf8_lossy(&help.stdout);
    assert!(help.status.success(), "{text}");
    for flag in flags {
        let listed = text
            .split([' ', ',', '=', '[', '\n'])
            .any(|word| word == *flag);
        assert!(listed, "{flag} is missing:\n{text}");
    }
    let lost = "/nowhere/config";
    let refused = run(binary, &["--kubeconfig", lost, "--leader-elect=false"]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success(), "{text}");
    assert!(text.contains(lost), "{text}");
    let mixed_up = run(
        binary,
        &["--leader-election-lease-duration=5s", "--kubeconfig", lost],
    );
    let text = String::from_utf8_lossy(&mixed_up.stderr);
    assert!(!mixed_up.status.success(), "{text}");
    assert!(text.contains("renew deadline"), "{text}");
}

fn run(binary: &str, arguments: &[&str]) -> Output {
    Command::new(binary)
        .arg("controller")
        .args(arguments)
        // Neither the flags nor the cluster of whoever runs the tests.
        .env_clear()
        .output()
        .expect("the binary starts")
}
