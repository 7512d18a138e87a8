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
