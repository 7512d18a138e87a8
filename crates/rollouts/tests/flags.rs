//! The command line of the built binary.

use reconcile_core::testkit::check_command_line;

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
