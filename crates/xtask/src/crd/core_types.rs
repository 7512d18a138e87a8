//! Kubernetes' own types that manifests embed, by the name that tables use.

use k8s_openapi::{
    api::{
        batch::v1::JobSpec,
        core::v1::{Affinity, Container, PodTemplateSpec, ResourceRequirements, Volume},
    },
    apimachinery::pkg::apis::meta::v1::LabelSelector,
};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde_json::Value;

use super::structural::structural;

/// The structural schema of a type, or `None` when the name is not one of those that tables may use.
pub fn core_type(name: &str) -> Option<Value> {
    Some(match name {
        "Affinity" => expand::<Affinity>(),
        "Container" => expand::<Container>(),
        "JobSpec" => expand::<JobSpec>(),
        "LabelSelector" => expand::<LabelSelector>(),
        "PodTemplateSpec" => expand::<PodTemplateSpec>(),
        "ResourceRequirements" => expand::<ResourceRequirements>(),
        "Volume" => expand::<Volume>(),
        _ => return None,
    })
}

fn expand<T: JsonSchema>() -> Value {
    let generator = SchemaGenerator::new(SchemaSettings::openapi3().with(|settings| {
        settings.definitions_path = "/$defs".into();
    }));
    let root = generator.into_root_schema_for::<T>();
    let mut root = root.to_value();
    // The marks go by the name of the type, which the root carries as its title only sometimes.
    root["title"] = T::schema_name().into();
    structural(&root)
}
