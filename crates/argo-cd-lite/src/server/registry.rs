//! Pushes to registries, which name a repository of artifacts or charts: packages of GitHub, and Harbor.

use std::collections::BTreeMap;

use reconcile_core::secret::Secret;
use serde::Deserialize;

/// The event of GitHub that packages cause.
pub(super) const PACKAGE: &str = "package";
/// The registry of GitHub.
const GITHUB: &str = "ghcr.io";
/// Key of the value that Harbor sends as `Authorization`.
const HARBOR_SECRET: &str = "webhook.harbor.secret";
/// The event of Harbor that pushes cause.
const HARBOR_PUSH: &str = "PUSH_ARTIFACT";

/// True for a request that proves to come from Harbor. Nothing else in it says so; without a secret none does.
pub(super) fn is_harbor(
    secrets: &BTreeMap<String, Secret>,
    header: impl Fn(&str) -> Option<String>,
) -> bool {
    let secret = secrets.get(HARBOR_SECRET).filter(|one| !one.is_empty());
    secret.is_some_and(|secret| header("authorization").is_some_and(|given| secret.is(&given)))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PackageEvent {
    action: String,
    package: Published,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Published {
    name: String,
    package_type: String,
    owner: Owner,
    package_version: PackageVersion,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Owner {
    login: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct PackageVersion {
    container_metadata: ContainerMetadata,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ContainerMetadata {
    tag: Tag,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Tag {
    name: String,
}

/// The repository of a package of GitHub to which a tag was pushed, as `oci://` URL; `None` for any other event.
pub(super) fn github_package(payload: &[u8]) -> Result<Option<String>, serde_json::Error> {
    let event: PackageEvent = serde_json::from_slice(payload)?;
    let package = event.package;
    let is_push = event.action == "published"
        && package.package_type.eq_ignore_ascii_case("container")
        && !package
            .package_version
            .container_metadata
            .tag
            .name
            .is_empty();
    let named = !package.owner.login.is_empty() && !package.name.is_empty();
    let repository = format!("oci://{GITHUB}/{}/{}", package.owner.login, package.name);
    Ok((is_push && named).then_some(repository))
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HarborEvent {
    #[serde(rename = "type")]
    kind: String,
    event_data: HarborData,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HarborData {
    resources: Vec<HarborResource>,
    repository: HarborRepository,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HarborResource {
    tag: String,
    resource_url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HarborRepository {
    name: String,
    namespace: String,
    repo_full_name: String,
}

/// The repository of Harbor to which a tag was pushed, as `oci://` URL; `None` for any other event.
pub(super) fn harbor_artifact(payload: &[u8]) -> Result<Option<String>, serde_json::Error> {
    let event: HarborEvent = serde_json::from_slice(payload)?;
    let HarborData {
        resources,
        repository,
    } = event.event_data;
    let tagged = resources
        .iter()
        .find(|one| !one.tag.is_empty() && !one.resource_url.is_empty());
    // `host/project/name:tag`, with or without a scheme.
    let host = tagged.and_then(|one| {
        let url = one.resource_url.as_str();
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (host, path) = rest.split_once('/')?;
        (!host.is_empty() && !path.is_empty()).then_some(host)
    });
    let path = match repository.repo_full_name.as_str() {
        "" if repository.namespace.is_empty() || repository.name.is_empty() => None,
        "" => Some(format!("{}/{}", repository.namespace, repository.name)),
        full => Some(full.to_owned()),
    };
    let (Some(host), Some(path)) = (host, path) else {
        return Ok(None);
    };
    Ok((event.kind == HARBOR_PUSH).then(|| format!("oci://{host}/{path}")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn github(edit: impl Fn(&mut Value)) -> Option<String> {
        let mut event = json!({"action": "published", "package": {
            "name": "charts/web", "package_type": "CONTAINER", "owner": {"login": "Team"},
            "package_version": {"container_metadata": {"tag": {"name": "1.2.3"}}},
        }});
        edit(&mut event);
        github_package(event.to_string().as_bytes()).expect("JSON")
    }

    #[test]
    fn a_tag_of_a_package_names_its_repository() {
        let pushed = Some("oci://ghcr.io/Team/charts/web".to_owned());
        assert_eq!(github(|_| ()), pushed);
        assert_eq!(github(|event| event["action"] = "updated".into()), None);
        assert_eq!(
            github(|event| event["package"]["package_type"] = "npm".into()),
            None
        );
        assert_eq!(
            github(|event| event["package"]["package_version"] = json!({})),
            None
        );
        assert_eq!(github(|event| event["package"]["name"] = "".into()), None);
        for broken in ["", "[1]", r#"{"package": 5}"#, r#"{"action": {}}"#] {
            assert!(github_package(broken.as_bytes()).is_err(), "{broken}");
        }
    }

    fn harbor(edit: impl Fn(&mut Value)) -> Option<String> {
        let mut event = json!({"type": "PUSH_ARTIFACT", "occur_at": 1, "event_data": {
            "resources": [{"digest": "sha256:0"}, {"tag": "v1", "resource_url": "harbor.example.com:8443/shop/web:v1"}],
            "repository": {"name": "web", "namespace": "shop", "repo_full_name": "shop/web"},
        }});
        edit(&mut event);
        harbor_artifact(event.to_string().as_bytes()).expect("JSON")
    }

    #[test]
    fn a_tag_of_an_artifact_names_its_repository() {
        let pushed = Some("oci://harbor.example.com:8443/shop/web".to_owned());
        assert_eq!(harbor(|_| ()), pushed);
        let whole =
            |event: &mut Value| event["event_data"]["repository"]["repo_full_name"] = "".into();
        assert_eq!(harbor(whole), pushed);
        assert_eq!(harbor(|event| event["type"] = "PULL_ARTIFACT".into()), None);
        assert_eq!(
            harbor(|event| event["event_data"]["resources"] = json!([])),
            None
        );
        assert_eq!(
            harbor(|event| event["event_data"]["repository"] = json!({})),
            None
        );
        let host = |event: &mut Value| {
            event["event_data"]["resources"][1]["resource_url"] =
                "https://h.example.com/a/b@sha256:1".into();
        };
        assert_eq!(
            harbor(host),
            Some("oci://h.example.com/shop/web".to_owned())
        );
        assert!(harbor_artifact(b"{").is_err());
    }

    #[test]
    fn harbor_is_known_by_its_secret_alone() {
        let given = |text: &'static str| {
            move |name: &str| (name == "authorization").then(|| text.to_owned())
        };
        let secrets = BTreeMap::from([(HARBOR_SECRET.to_owned(), "s3cret".into())]);
        assert!(is_harbor(&secrets, given("s3cret")));
        assert!(!is_harbor(&secrets, given("other")));
        assert!(!is_harbor(&secrets, |_| None));
        let empty = BTreeMap::from([(HARBOR_SECRET.to_owned(), "".into())]);
        assert!(!is_harbor(&empty, given("")));
        assert!(!is_harbor(&BTreeMap::new(), given("")));
    }
}
