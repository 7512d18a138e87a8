//! Which credentials a repository gets.

use super::*;

#[test]
fn credentials_are_found_by_url_and_by_prefix() {
    let secret = |url: &str, template: bool, password: &str| RepositorySecret {
        kind: RepositoryKind::Git,
        url: normalize(url),
        template,
        credential: Credential::basic("u", password),
        project: String::new(),
        unsupported: Vec::new(),
    };
    let credentials = Credentials::default();
    credentials.set("a", Some(secret("https://git/org", true, "org")));
    credentials.set("b", Some(secret("https://git/org/team", true, "team")));
    credentials.set(
        "c",
        Some(secret("https://git/org/team/own.git", false, "own")),
    );
    credentials.set("d", Some(secret("https://git/org/public", false, "")));
    let password = |url: &str| {
        credentials
            .find(url)
            .map(|secret| secret.credential.password.expose_secret().to_owned())
    };
    assert_eq!(password("https://git/org/team/own").as_deref(), Some("own"));
    assert_eq!(
        password("https://git/org/team/other").as_deref(),
        Some("team")
    );
    assert_eq!(password("https://git/org/x").as_deref(), Some("org"));
    assert_eq!(password("https://git/org/public").as_deref(), Some("org"));
    assert_eq!(password("https://elsewhere/x"), None);
    for url in [
        "https://git.evil.org/org/x",
        "https://git:8443/org/x",
        "https://git/organisation/x",
        "https://git/org/../other/x",
        "https://evil.org\\@git/org/x",
    ] {
        assert_eq!(password(url), None, "{url}");
    }
    assert!(!format!("{:?}", credentials.find("https://git/org/x")).contains("\"org\""));
}

#[test]
fn members_of_a_secret_count_only_when_they_say_something() {
    let labels = [(
        "argocd.argoproj.io/secret-type".to_owned(),
        "repository".to_owned(),
    )]
    .into();
    let read = |data: &[(&str, &str)]| {
        let data = data
            .iter()
            .map(|(key, value)| {
                let value = k8s_openapi::ByteString(value.as_bytes().to_vec());
                ((*key).to_owned(), value)
            })
            .collect();
        RepositorySecret::read(&labels, &data).expect("a Secret of a Git repository")
    };
    let url = ("url", "https://git/a.git");
    let empty = read(&[url, ("sshPrivateKey", "")]);
    assert!(empty.unsupported.is_empty());
    let cloud = read(&[url, ("gcpServiceAccountKey", "{}")]);
    assert_eq!(cloud.unsupported, ["gcpServiceAccountKey"]);
}
