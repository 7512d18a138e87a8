//! Answers of the API of load balancers, which are XML.

use serde::{Deserialize, de::DeserializeOwned};

use super::load_balancers::AwsError;

/// A list: each element is a `member`.
#[derive(Debug, Deserialize)]
pub(super) struct Members<T> {
    #[serde(default = "Vec::new", rename = "member")]
    pub(super) members: Vec<T>,
}

impl<T> Default for Members<T> {
    fn default() -> Self {
        Self {
            members: Vec::new(),
        }
    }
}

/// What every answer of an operation has around its result. serde has no names that depend on the operation, so the
/// result is the member that fits.
#[derive(Debug, Deserialize)]
pub(super) struct Answer<T> {
    #[serde(
        alias = "DescribeLoadBalancersResult",
        alias = "DescribeTargetGroupsResult",
        alias = "DescribeTagsResult",
        alias = "DescribeListenersResult",
        alias = "DescribeRulesResult",
        alias = "DescribeTargetHealthResult"
    )]
    result: T,
}

/// A page of a list, and where the next one begins.
pub(super) trait Page: DeserializeOwned {
    /// What is listed.
    type Item;
    /// The elements, and the marker of the next page.
    fn take(self) -> (Vec<Self::Item>, Option<String>);
}

/// Declares the result of an operation that lists `item` below `list`.
macro_rules! page {
    ($name:ident, $list:literal, $item:ty) => {
        #[derive(Debug, Default, Deserialize)]
        #[serde(default)]
        pub(super) struct $name {
            #[serde(rename = $list)]
            list: Members<$item>,
            #[serde(rename = "NextMarker")]
            next: Option<String>,
        }

        impl Page for $name {
            type Item = $item;
            fn take(self) -> (Vec<$item>, Option<String>) {
                let next = self.next.filter(|marker| !marker.is_empty());
                (self.list.members, next)
            }
        }
    };
}

page!(BalancersPage, "LoadBalancers", BalancerItem);
page!(GroupsPage, "TargetGroups", GroupItem);
page!(TagsPage, "TagDescriptions", TagsItem);
page!(ListenersPage, "Listeners", ListenerItem);
page!(RulesPage, "Rules", RuleItem);
page!(HealthPage, "TargetHealthDescriptions", HealthItem);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct BalancerItem {
    pub(super) load_balancer_arn: String,
    pub(super) load_balancer_name: String,
    #[serde(rename = "DNSName")]
    pub(super) dns_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct GroupItem {
    pub(super) target_group_arn: String,
    pub(super) target_group_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TagsItem {
    pub(super) resource_arn: String,
    pub(super) tags: Members<TagItem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TagItem {
    pub(super) key: String,
    pub(super) value: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ListenerItem {
    pub(super) listener_arn: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RuleItem {
    pub(super) actions: Members<ActionItem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ActionItem {
    pub(super) forward_config: Option<ForwardItem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ForwardItem {
    pub(super) target_groups: Members<ShareItem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct ShareItem {
    pub(super) target_group_arn: String,
    /// AWS counts 1 where no weight was written.
    pub(super) weight: Option<i32>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct HealthItem {
    pub(super) target: TargetItem,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct TargetItem {
    pub(super) id: String,
    pub(super) port: i32,
}

/// The body of a refusal.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct Refusal {
    pub(super) error: RefusalItem,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(super) struct RefusalItem {
    pub(super) code: String,
    pub(super) message: String,
}

/// The result in the answer of an operation.
pub(super) fn result<T: DeserializeOwned>(body: &str) -> Result<T, AwsError> {
    let answer: Answer<T> =
        quick_xml::de::from_str(body).map_err(|error| AwsError::Answer(error.to_string()))?;
    Ok(answer.result)
}
