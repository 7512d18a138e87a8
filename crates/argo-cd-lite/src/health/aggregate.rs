//! Health of an application from the health of its objects.

use super::{Code, Health};

/// Objects named in the message of a bad application; the rest is in the tree.
const NAMED: usize = 3;

/// One object as the aggregation sees it. Hooks, skipped and ignored objects and the application itself
/// are left out by the caller.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// Kind, namespace and name for the message.
    pub kind: &'a str,
    /// Namespace; empty for cluster-scoped objects.
    pub namespace: &'a str,
    /// Name.
    pub name: &'a str,
    /// False for objects that are not in the cluster.
    pub live: bool,
    /// Health; `None` for kinds without a rule.
    pub health: Option<&'a Health>,
    /// Child applications that are missing or unknown do not count.
    pub is_application: bool,
}

/// The worst of the live members. Missing objects count only when every object is missing.
pub fn aggregate(members: &[Member<'_>]) -> Health {
    if !members.is_empty() && members.iter().all(|member| !member.live) {
        return Health::of(Code::Missing);
    }
    let mut worst = Code::Healthy;
    let mut causes: Vec<&Member<'_>> = Vec::new();
    for member in members.iter().filter(|member| member.live) {
        let Some(health) = member.health else {
            continue;
        };
        if member.is_application && matches!(health.code, Code::Missing | Code::Unknown) {
            continue;
        }
        if health.code > worst {
            worst = health.code;
            causes.clear();
        }
        if health.code == worst && worst != Code::Healthy {
            causes.push(member);
        }
    }
    Health::new(worst, cause(&causes))
}

fn cause(causes: &[&Member<'_>]) -> String {
    if causes.is_empty() {
        return String::new();
    }
    let mut names: Vec<String> = causes
        .iter()
        .take(NAMED)
        .map(|member| match member.namespace {
            "" => format!("{} {}", member.kind, member.name),
            namespace => format!("{} {namespace}/{}", member.kind, member.name),
        })
        .collect();
    if causes.len() > NAMED {
        names.push(format!("{} more", causes.len() - NAMED));
    }
    format!("Caused by {}", names.join(", "))
}
