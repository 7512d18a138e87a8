//! Which Secret counts for a repository, and what of it.

use super::*;

fn read(kind: &str, members: &[(&str, &str)]) -> RepositorySecret {
    let labels = [(SECRET_TYPE_LABEL.to_owned(), kind.to_owned())];
    let data = members.iter();
    let data = data.map(|(key, text)| ((*key).to_owned(), ByteString(text.as_bytes().into())));
    RepositorySecret::read(&labels.into(), &data.collect()).expect("a Secret")
}

#[test]
fn a_github_app_is_a_login_of_git_only() {
    let url = ("url", "https://github.com/a/b");
    let app = [
        ("githubAppID", "12"),
        ("githubAppInstallationID", " 7 "),
        ("githubAppPrivateKey", "a key"),
        (
            "githubAppEnterpriseBaseUrl",
            "https://ghe.example.com/api/v3",
        ),
    ];
    let git = read("repository", &[&[url], &app[..]].concat());
    assert!(git.unsupported.is_empty() && git.credential.logs_in());
    let found = git.credential.github_app.expect("an App");
    assert_eq!(
        (found.id.as_str(), found.installation.as_str()),
        ("12", "7")
    );
    assert_eq!(found.base_url, "https://ghe.example.com/api/v3");
    assert!(!format!("{found:?}").contains("a key"));
    // One without its key is no anonymous login.
    let half = read("repository", &[url, app[0]]);
    assert!(half.credential.github_app.is_some());
    let helm = read("repository", &[&[url, ("type", "helm")], &app[..]].concat());
    assert_eq!(helm.unsupported, ["githubAppID"]);
}

#[test]
fn the_repository_itself_says_whether_pointers_are_followed() {
    let credentials = Credentials::default();
    let lfs = ("enableLfs", "true");
    let template = [("url", "https://git.example.com"), ("password", "p"), lfs];
    credentials.set("template", Some(read("repo-creds", &template)));
    let url = "https://git.example.com/a";
    let follows = || credentials.find(url).expect("one").credential.large_files;
    assert!(!follows());
    let own = [("url", url), lfs];
    credentials.set("own", Some(read("repository", &own)));
    assert!(follows());
}

#[test]
fn a_template_brings_the_login_and_the_repository_its_proxy() {
    let credentials = Credentials::default();
    let own = [
        ("url", "https://git.example.com/a"),
        ("proxy", "http://proxy:3128"),
    ];
    credentials.set("own", Some(read("repository", &own)));
    let template = [("url", "https://git.example.com"), ("password", "p")];
    credentials.set("template", Some(read("repo-creds", &template)));
    let found = credentials
        .find("https://git.example.com/a.git")
        .expect("a Secret");
    assert_eq!(found.credential.password.expose_secret(), "p");
    assert!(found.credential.has_proxy());
    let other = credentials
        .find("https://git.example.com/b")
        .expect("a Secret");
    assert!(!other.credential.has_proxy());
}

#[test]
fn a_secret_of_a_project_serves_no_other() {
    let credentials = Credentials::default();
    let url = "https://git.example.com/a";
    assert!(credentials.serve(url, "red"));
    let scoped = [("url", url), ("password", "p"), ("project", "red")];
    credentials.set("a", Some(read("repository", &scoped)));
    assert!(credentials.serve(url, "red"));
    assert!(credentials.serve("https://git.example.com/b", "blue"));
    for other in [
        url,
        "https://git.example.com/a.git",
        "https://GIT.example.com/a/",
    ] {
        assert!(!credentials.serve(other, "blue"), "{other}");
    }
    let open = [("url", url), ("password", "open")];
    credentials.set("b", Some(read("repository", &open)));
    assert!(credentials.serve(url, "blue"));
    let found = credentials.find(url).expect("a Secret").credential;
    assert_eq!(found.password.expose_secret(), "open");
}
