use http::{StatusCode, header::HeaderMap};
use reqwest::{Url, dns::Resolve};

use super::{EgressPolicy, dns::GuardedResolver, redirect_target};

const REFUSE: EgressPolicy = EgressPolicy::RefuseLinkLocal {
    flag: "--allow-link-local",
};

fn url(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

#[test]
fn metadata_services_are_refused_in_every_spelling() {
    for host in [
        "169.254.169.254",
        "169.254.169.254.",
        "0xa9fea9fe",
        "2852039166",
        "[::ffff:169.254.169.254]",
        "[::169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b::6464:64c8]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "[fd00:ec2::23]",
        "[fd20:ce::254]",
        "[fd00:c1::a9fe:a9fe]",
        "[fd00:42::42]",
        "[2002:a9fe:a9fe::]",
        "[2002:a9fe:a9fe::1]",
        "[64:ff9b:1::a9fe:a9fe]",
        "[64:ff9b:1:a9fe:a9:fe00::]",
        "[64:ff9b:1:a9:fe:a9fe::]",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "0.0.0.0:8080",
        "[::]",
        "[::ffff:0.0.0.0]",
    ] {
        let url = url(&format!("http://{host}/latest/meta-data"));
        let refused = REFUSE.check(&url).expect_err(host);
        assert!(refused.to_string().contains("--allow-link-local"));
        let allow = EgressPolicy::of_flag("--allow-link-local", true);
        assert_eq!(allow.check(&url), Ok(()), "{host}");
    }
}

#[test]
fn addresses_of_the_machine_are_refused_where_they_may_not_be_called() {
    let refuse = EgressPolicy::of_local_flag("--allow-local", false);
    for host in [
        "127.0.0.1:6443",
        "127.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
    ] {
        let url = url(&format!("https://{host}"));
        let refused = refuse.check(&url).expect_err(host);
        assert!(refused.to_string().contains("--allow-local permits it"));
        let allow = EgressPolicy::of_local_flag("--allow-local", true);
        assert_eq!(allow.check(&url), Ok(()), "{host}");
    }
    assert_eq!(refuse.check(&url("https://10.0.0.1")), Ok(()));
}

#[test]
fn other_addresses_and_names_are_allowed() {
    for host in [
        "127.0.0.1:9090",
        "10.0.0.1",
        "[::1]",
        "[2001:db8::1]",
        "[64:ff9b::a00:1]",
        "[64:ff9b:1::a00:1]",
        "[2002:a00:1::1]",
        "[fd00:c2::1]",
        "[fd00:ec3::254]",
        "prometheus.monitoring:9090",
        "example.com",
    ] {
        let url = url(&format!("http://{host}/"));
        assert_eq!(REFUSE.check(&url), Ok(()), "{host}");
    }
}

#[tokio::test]
async fn a_name_for_a_refused_address_does_not_resolve() {
    let resolve = |name: &str| GuardedResolver(REFUSE).resolve(name.parse().expect("a name"));
    assert!(resolve("localhost").await.is_ok());
    let refused = resolve("169.254.169.254").await.err().expect("a refusal");
    assert!(refused.to_string().contains("link-local"), "{refused}");
}

#[test]
fn redirects_are_read_as_urls() {
    let from = url("http://a.example/x/y");
    let target = |status: u16, location: Option<&str>| {
        let mut headers = HeaderMap::new();
        if let Some(location) = location {
            headers.insert("location", location.parse().expect("a header"));
        }
        let status = StatusCode::from_u16(status).expect("a status");
        redirect_target(status, &from, &headers)
            .map(|found| found.map(String::from))
            .map_err(|error| error.location)
    };
    assert_eq!(
        target(302, Some("../z")),
        Ok(Some("http://a.example/z".into()))
    );
    assert_eq!(
        target(308, Some("//169.254.169.254/")),
        Ok(Some("http://169.254.169.254/".into()))
    );
    assert_eq!(target(200, Some("/z")), Ok(None));
    assert_eq!(target(302, None), Ok(None));
    assert_eq!(
        target(301, Some("file:///etc/passwd")),
        Err("file:///etc/passwd".into())
    );
}

#[tokio::test]
async fn a_client_that_resolves_names_itself_gets_every_address() {
    let policy = EgressPolicy::of_flag("--allow", false);
    for host in ["169.254.169.254", "fe80::1", "::ffff:169.254.169.254"] {
        let error = policy.check_host(host).await.expect_err(host);
        assert!(error.to_string().contains("--allow permits it"), "{error}");
        let allowed = EgressPolicy::of_flag("--allow", true);
        allowed.check_host(host).await.expect("permitted");
    }
    for host in ["127.0.0.1", "::1", "localhost"] {
        policy.check_host(host).await.expect(host);
    }
    let error = policy
        .check_host("no such host")
        .await
        .expect_err("no host");
    assert!(error.to_string().starts_with("cannot resolve no such host"));
}
