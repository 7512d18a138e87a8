//! How lists and maps of Kubernetes' own types merge. Facts of the API, by type and field.

/// How the elements of a list are distinguished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ListMark {
    /// By the values of these keys.
    Map(&'static [&'static str]),
    /// By themselves.
    Set,
}

const NAME: ListMark = ListMark::Map(&["name"]);

/// (type without its package, field, mark). A list that is not named here is atomic.
const LISTS: &[(&str, &str, ListMark)] = &[
    ("PodSpec", "containers", NAME),
    ("PodSpec", "initContainers", NAME),
    ("PodSpec", "ephemeralContainers", NAME),
    ("PodSpec", "volumes", NAME),
    ("PodSpec", "imagePullSecrets", NAME),
    ("PodSpec", "resourceClaims", NAME),
    ("PodSpec", "schedulingGates", NAME),
    ("PodSpec", "hostAliases", ListMark::Map(&["ip"])),
    (
        "PodSpec",
        "topologySpreadConstraints",
        ListMark::Map(&["topologyKey", "whenUnsatisfiable"]),
    ),
    ("Container", "env", NAME),
    (
        "Container",
        "ports",
        ListMark::Map(&["containerPort", "protocol"]),
    ),
    ("Container", "volumeMounts", ListMark::Map(&["mountPath"])),
    ("Container", "volumeDevices", ListMark::Map(&["devicePath"])),
    ("EphemeralContainer", "env", NAME),
    (
        "EphemeralContainer",
        "ports",
        ListMark::Map(&["containerPort", "protocol"]),
    ),
    (
        "EphemeralContainer",
        "volumeMounts",
        ListMark::Map(&["mountPath"]),
    ),
    (
        "EphemeralContainer",
        "volumeDevices",
        ListMark::Map(&["devicePath"]),
    ),
    ("ResourceRequirements", "claims", NAME),
    ("ContainerRestartRuleOnExitCodes", "values", ListMark::Set),
    (
        "PodFailurePolicyOnExitCodesRequirement",
        "values",
        ListMark::Set,
    ),
];

/// Defaults of the API: a key of a list must always have a value, and references may have an empty
/// name for historical reasons. A field with a default is not required.
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("ContainerPort", "protocol", "TCP"),
    ("LocalObjectReference", "name", ""),
    ("ConfigMapEnvSource", "name", ""),
    ("SecretEnvSource", "name", ""),
    ("ConfigMapKeySelector", "name", ""),
    ("SecretKeySelector", "name", ""),
];

/// Objects that are replaced whole.
const ATOMIC: &[&str] = &[
    "LabelSelector",
    "NodeSelector",
    "NodeSelectorTerm",
    "ConfigMapKeySelector",
    "SecretKeySelector",
    "FileKeySelector",
    "ObjectFieldSelector",
    "ResourceFieldSelector",
    "LocalObjectReference",
    "TypedLocalObjectReference",
    "SecretReference",
];

/// The last word of `io.k8s.api.core.v1.PodSpec`.
pub(super) fn short_name(type_name: &str) -> &str {
    type_name.rsplit('.').next().unwrap_or(type_name)
}

pub(super) fn list_mark(type_name: &str, field: &str) -> Option<ListMark> {
    let short = short_name(type_name);
    LISTS
        .iter()
        .find(|(owner, name, _)| *owner == short && *name == field)
        .map(|entry| entry.2)
}

pub(super) fn default_of(type_name: &str, field: &str) -> Option<&'static str> {
    let short = short_name(type_name);
    DEFAULTS
        .iter()
        .find(|(owner, name, _)| *owner == short && *name == field)
        .map(|entry| entry.2)
}

pub(super) fn is_atomic(type_name: &str) -> bool {
    ATOMIC.contains(&short_name(type_name))
}
