//! The command line of the built binary.

use reconcile_core::testkit::{check_command_line, check_metrics_address};

#[test]
fn the_binary_takes_the_flags_in_the_spelling_that_users_know() {
    check_command_line(
        env!("CARGO_BIN_EXE_rollouts"),
        &[
            "--kubeconfig",
            "--namespaced",
            "--instance-id",
            "--metricsPort",
            "--healthzPort",
            "--leader-elect",
            "--leader-election-lease-duration",
            "--loglevel",
            "--logformat",
            "--rollout-threads",
        ],
    );
}

#[test]
fn metrics_and_probes_are_served_at_the_address_that_is_given_only() {
    check_metrics_address(
        env!("CARGO_BIN_EXE_rollouts"),
        &["--metricsPort", "--healthzPort"],
    );
}

#[test]
fn verbs_on_files_refuse_with_one_line_and_a_failure() {
    let home = tempfile::tempdir().expect("a directory");
    let run = |verb: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_rollouts"));
        command.args([verb, "-f"]).arg(home.path());
        let output = command.env("RUST_BACKTRACE", "1").output().expect("an end");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let write = |name: &str, weight: u8| {
        let text = format!(
            "{{apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {{name: web}}, spec: {{selector: {{matchLabels: {{a: b}}}}, \
             template: {{metadata: {{labels: {{a: b}}}}, spec: {{containers: [{{name: c, image: x}}]}}}}, \
             strategy: {{canary: {{steps: [{{setWeight: {weight}}}]}}}}}}}}"
        );
        std::fs::write(home.path().join(name), text).expect("a file");
    };
    write("web.yaml", 50);
    for verb in ["lint", "plan", "simulate"] {
        let (code, out, err) = run(verb);
        assert_eq!(code, Some(0), "{verb}: {out}{err}");
    }
    write("web.yaml", 101);
    for verb in ["lint", "plan", "simulate"] {
        let (code, out, err) = run(verb);
        assert_eq!(code, Some(1), "{verb}: {out}{err}");
        let all = out + &err;
        assert!(
            all.contains("spec.strategy.canary.steps[0].setWeight"),
            "{verb}: {all}"
        );
        assert!(
            !all.contains("stack backtrace") && !all.contains("panicked"),
            "{verb}: {all}"
        );
    }
    std::fs::write(home.path().join("web.yaml"), "a: [").expect("a file");
    for verb in ["lint", "plan", "simulate"] {
        let (code, out, err) = run(verb);
        assert_eq!(code, Some(1), "{verb}: {out}{err}");
        assert!(err.contains("web.yaml"), "{verb}: {err}");
        assert!(!err.contains("stack backtrace"), "{verb}: {err}");
    }
}
