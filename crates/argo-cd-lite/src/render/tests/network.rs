//! Programs that try to reach servers.

use std::{net::TcpListener, process::Command};

use reconcile_core::testkit::count_skipped;
use serde_json::json;

use super::{super::confinement, tools::Bench};

#[test]
fn a_program_reaches_no_port_of_this_machine() {
    if !confinement::denies_network() {
        count_skipped("the kernel has no Landlock with rules for the network");
        return;
    }
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    server.set_nonblocking(true).expect("a socket");
    let port = server.local_addr().expect("bound").port();
    let call = format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}'");
    // Without the restriction it gets through, so the test can fail.
    let status = Command::new("sh").args(["-c", &call]).status();
    assert!(status.expect("a shell").success());
    assert!(server.accept().is_ok());
    let bench = Bench::new(&format!("{call} && echo reached >&2; exit 1"));
    bench.write("chart/Chart.yaml", "name: shop\n");
    let error = bench
        .render(json!({"repoURL": "https://git/a", "path": "chart", "helm": {}}))
        .expect_err("the program fails")
        .to_string();
    assert!(error.contains("Permission denied"), "{error}");
    assert!(!error.contains("reached"), "{error}");
    assert!(server.accept().is_err(), "nobody has called");
    // This process is as free as before.
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
}
