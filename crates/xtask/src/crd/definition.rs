//! Names, columns and subresources around a schema.

use serde_json::{Value, json};

/// Where objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In a namespace.
    Namespaced,
    /// Once per cluster.
    Cluster,
}

/// A column of `kubectl get`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The heading.
    pub name: String,
    /// `string`, `integer`, `date` and so on.
    pub kind: String,
    /// Where the value is, for example `.status.phase`.
    pub path: String,
    /// Above 0 only with `-o wide`.
    pub priority: i64,
    /// A sentence for `kubectl explain`; may be empty.
    pub description: String,
}

/// One CustomResourceDefinition with one version.
#[derive(Clone, Debug)]
pub struct Definition {
    /// API group.
    pub group: String,
    /// Version, served and stored.
    pub version: String,
    /// Kind.
    pub kind: String,
    /// Plural, lower case.
    pub plural: String,
    /// Singular, lower case.
    pub singular: String,
    /// Short names for the command line.
    pub short_names: Vec<String>,
    /// Where objects live.
    pub scope: Scope,
    /// Columns; when empty the server shows name and age.
    pub columns: Vec<Column>,
    /// `subresources` as the API has it; `null` for none.
    pub subresources: Value,
    /// Labels of the definition itself.
    pub labels: Value,
    /// The schema of the object.
    pub schema: Value,
}

impl Definition {
    /// As the object to create. `annotations` are those of the definition itself.
    pub fn to_value(&self, annotations: &Value) -> Value {
        let mut version = json!({
            "name": self.version, "served": true, "storage": true,
            "schema": {"openAPIV3Schema": self.schema},
        });
        if !self.columns.is_empty() {
            version["additionalPrinterColumns"] = self.columns.iter().map(column).collect();
        }
        if !self.subresources.is_null() {
            version["subresources"] = self.subresources.clone();
        }
        let mut names = json!({
            "kind": self.kind, "listKind": format!("{}List", self.kind),
            "plural": self.plural, "singular": self.singular,
        });
        if !self.short_names.is_empty() {
            names["shortNames"] = json!(self.short_names);
        }
        let mut metadata = json!({"name": format!("{}.{}", self.plural, self.group)});
        for (name, value) in [("annotations", annotations), ("labels", &self.labels)] {
            if value.as_object().is_some_and(|map| !map.is_empty()) {
                metadata[name] = value.clone();
            }
        }
        let scope = match self.scope {
            Scope::Namespaced => "Namespaced",
            Scope::Cluster => "Cluster",
        };
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": metadata,
            "spec": {"group": self.group, "names": names, "scope": scope, "versions": [version]},
        })
    }
}

fn column(column: &Column) -> Value {
    let mut value = json!({"name": column.name, "type": column.kind, "jsonPath": column.path});
    if column.priority != 0 {
        value["priority"] = json!(column.priority);
    }
    if !column.description.is_empty() {
        value["description"] = json!(column.description);
    }
    value
}
