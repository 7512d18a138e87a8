//! Schemas of the parts that are not plain Rust structs.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Anything, kept as it was sent.
pub fn preserved(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// An object of any form, kept as it was sent.
pub fn preserved_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A number, or a text such as `25%` or `10m`.
pub fn int_or_string(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [{ "type": "integer" }, { "type": "string" }],
        "x-kubernetes-int-or-string": true
    })
}

/// The pod template of Kubernetes.
pub fn pod_template(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<k8s_openapi::api::core::v1::PodTemplateSpec>()
}

/// A label selector.
pub fn label_selector(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector>()
}

/// A moment as text.
pub fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "format": "date-time" })
}

/// Conditions with both times.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "description": "A condition.",
            "required": ["status", "type"],
            "properties": {
                "lastTransitionTime": {
                    "type": "string",
                    "format": "date-time",
                    "nullable": true,
                    "description": "When the status of the condition changed."
                },
                "lastUpdateTime": {
                    "type": "string",
                    "format": "date-time",
                    "nullable": true,
                    "description": "When the condition was last written; for `Progressing` the clock of the deadline."
                },
                "message": { "type": "string", "description": "For people." },
                "reason": { "type": "string", "description": "For programs." },
                "status": { "type": "string", "description": "`True`, `False` or `Unknown`." },
                "type": { "type": "string", "description": "Type." }
            }
        }
    })
}
