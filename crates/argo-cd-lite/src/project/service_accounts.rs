//! Which ServiceAccount of the destination a project syncs as.

use expressions::glob::{self, Answer};
use thiserror::Error;

use crate::{api::DestinationServiceAccount, clusters::Destination};

/// What a name of an account cannot have: it would be a pattern, or a path.
const FORBIDDEN: &[char] = &['!', '*', '[', ']', '{', '}', '\\', '/', ' ', ','];

/// Why there is no account to sync as. Nothing is written then: the controller's own rights are not a substitute.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ServiceAccountError {
    /// No item covers the destination.
    #[error(
        "no matching service account found for destination server {server} and namespace {namespace}: add one to spec.destinationServiceAccounts of project '{project}'"
    )]
    NoMatch {
        /// URL of the cluster.
        server: String,
        /// Destination namespace.
        namespace: String,
        /// Name of the project.
        project: String,
    },
    /// A pattern cannot be evaluated.
    #[error(
        "spec.destinationServiceAccounts of project '{project}': the pattern {pattern:?} cannot be evaluated"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Name of the project.
        project: String,
    },
    /// The account has no valid name.
    #[error(
        "spec.destinationServiceAccounts of project '{project}': {account:?} is no name of a service account"
    )]
    Name {
        /// The text.
        account: String,
        /// Name of the project.
        project: String,
    },
}

/// Where a sync goes.
#[derive(Clone, Copy, Debug)]
pub struct SyncTarget<'a> {
    /// The cluster.
    pub cluster: &'a Destination,
    /// Destination namespace; may be empty.
    pub namespace: &'a str,
    /// Namespace of the Application, where the account is when the destination has none.
    pub app_namespace: &'a str,
}

/// The user name of the account that the first item with this destination names.
pub fn service_account(
    project: &str,
    items: &[DestinationServiceAccount],
    target: SyncTarget<'_>,
) -> Result<String, ServiceAccountError> {
    let project = || project.to_owned();
    for item in items {
        let fits = |pattern: &str, text: &str| match glob::answer(pattern, text, &[]) {
            Answer::Match => Ok(true),
            Answer::NoMatch => Ok(false),
            Answer::Undecided(_) => Err(ServiceAccountError::Pattern {
                pattern: pattern.to_owned(),
                project: project(),
            }),
        };
        if !fits(&item.server, &target.cluster.server)? || !fits(&item.namespace, target.namespace)?
        {
            continue;
        }
        let account = item.default_service_account.as_str();
        let own = Some(target.namespace).filter(|namespace| !namespace.trim().is_empty());
        let (namespace, name) = account
            .split_once(':')
            .unwrap_or((own.unwrap_or(target.app_namespace), account));
        let valid = |text: &str| !text.is_empty() && !text.contains(FORBIDDEN) && text.is_ascii();
        if !valid(namespace) || !valid(name) || name.contains(':') {
            return Err(ServiceAccountError::Name {
                account: account.to_owned(),
                project: project(),
            });
        }
        return Ok(format!("system:serviceaccount:{namespace}:{name}"));
    }
    Err(ServiceAccountError::NoMatch {
        server: target.cluster.server.to_string(),
        namespace: target.namespace.to_owned(),
        project: project(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(
        list: &[(&str, &str, &str)],
        namespace: &str,
    ) -> Result<String, ServiceAccountError> {
        let items: Vec<DestinationServiceAccount> = list
            .iter()
            .map(|(server, namespace, account)| DestinationServiceAccount {
                server: (*server).to_owned(),
                namespace: (*namespace).to_owned(),
                default_service_account: (*account).to_owned(),
            })
            .collect();
        let cluster = Destination {
            server: "https://prod.example.com".into(),
            name: "prod".into(),
            project: "".into(),
        };
        let target = SyncTarget {
            cluster: &cluster,
            namespace,
            app_namespace: "argocd",
        };
        service_account("shop", &items, target)
    }

    #[test]
    fn the_first_item_that_covers_the_destination_counts() {
        let list = [
            ("https://other.example.com", "*", "wrong"),
            ("https://prod.*", "guestbook-dev*", "dev:deployer"),
            ("*", "guestbook*", "deployer"),
        ];
        let found = |namespace| account(&list, namespace).expect("an account");
        assert_eq!(
            found("guestbook-dev1"),
            "system:serviceaccount:dev:deployer"
        );
        assert_eq!(
            found("guestbook"),
            "system:serviceaccount:guestbook:deployer"
        );
        let any = [("*", "*", "deployer")];
        assert_eq!(
            account(&any, "").as_deref(),
            Ok("system:serviceaccount:argocd:deployer")
        );
    }

    #[test]
    fn without_a_clear_answer_there_is_no_account() {
        let error = account(&[("*", "other", "x")], "shop").expect_err("no match");
        assert!(
            error.to_string().contains("no matching service account"),
            "{error}"
        );
        assert!(account(&[], "shop").is_err());
        for name in ["", " ", "*", "a b", "a/b", "ns:", ":a", "a:b:c", "{a,b}"] {
            // The next item does not count: the first one that covers the destination decides.
            let list = [("*", "*", name), ("*", "*", "good")];
            assert!(
                matches!(
                    account(&list, "shop"),
                    Err(ServiceAccountError::Name { .. })
                ),
                "{name:?}"
            );
        }
        let broken = [("*", "[", "x"), ("*", "*", "good")];
        assert!(account(&broken, "shop").is_err());
    }
}
