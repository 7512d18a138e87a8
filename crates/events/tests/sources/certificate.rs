//! Listeners with a certificate.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_with_a_certificate_speaks_tls_and_takes_a_new_one_while_open() {
    let Some(nats) = Nats::start().await else {
        return;
    };
    let (bus, plane, port) = (nats.bus().await, plane(), free_port());
    let certified = |key: &rcgen::CertifiedKey<rcgen::KeyPair>| {
        let mut webhook = webhook("push", port, "POST");
        webhook.tls = Some(ServerCertificate {
            chain: key.cert.pem(),
            key: key.signing_key.serialize_pem().into(),
        });
        source("src", vec![webhook], vec![])
    };
    for _ in 0..2 {
        let key =
            rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        assert!(run(&plane, &bus, &certified(&key)).is_empty());
        let trusted =
            reqwest::Certificate::from_pem(key.cert.pem().as_bytes()).expect("a certificate");
        let client = reqwest::Client::builder()
            .tls_certs_only([trusted])
            .build()
            .expect("a client");
        let answer = client
            .post(format!("https://localhost:{port}/push"))
            .body("1")
            .send()
            .await;
        assert_eq!(answer.expect("an answer").status().as_u16(), 200);
    }
    // Somebody else cannot serve plain HTTP on the same port.
    let plain = source("plain", vec![webhook("other", port, "GET")], vec![]);
    assert!(run(&plane, &bus, &plain)[0].contains("with another certificate"));
    let mut broken = webhook("push", port, "POST");
    broken.tls = Some(ServerCertificate {
        chain: "x".into(),
        key: "y".into(),
    });
    let refused = run(&plane, &bus, &source("src", vec![broken], vec![]));
    assert!(refused[0].starts_with("server"), "{refused:?}");
    plane.stop().await;
}
