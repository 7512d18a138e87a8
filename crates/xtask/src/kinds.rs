//! The eleven kinds: tables in `schemas/CHART/KIND.yaml`, and the ledgers of the operators.

use anyhow::{Context, Result, anyhow};
use reconcile_core::{fields::Ledger, yaml};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::crd::{Column, Definition, Scope, Table, Types};

/// Where a kind comes from: (chart, name of its file, text of its file, text of the shared types).
type Source = (&'static str, &'static str, &'static str, &'static str);

macro_rules! source {
    ($chart:literal, $kind:literal) => {
        (
            $chart,
            $kind,
            include_str!(concat!("../schemas/", $chart, "/", $kind, ".yaml")),
            include_str!(concat!("../schemas/", $chart, "/types.yaml")),
        )
    };
}

/// In the order in which they are documented.
const SOURCES: [Source; 11] = [
    source!("argo-cd-lite", "application"),
    source!("argo-cd-lite", "appproject"),
    source!("argo-cd-lite", "applicationset"),
    source!("events", "eventbus"),
    source!("events", "eventsource"),
    source!("events", "sensor"),
    source!("rollouts", "rollout"),
    source!("rollouts", "analysistemplate"),
    source!("rollouts", "clusteranalysistemplate"),
    source!("rollouts", "analysisrun"),
    source!("rollouts", "experiment"),
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Header {
    kind: String,
    plural: String,
    singular: String,
    short_names: Vec<String>,
    scope: String,
    #[serde(default)]
    columns: Vec<ColumnHeader>,
    #[serde(default)]
    subresources: Value,
    /// The schema is left open: the fields are for the documentation only, as upstream's definition
    /// of this kind has no schema and existing objects must not lose anything.
    #[serde(default)]
    open: bool,
    fields: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ColumnHeader {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    priority: i64,
    #[serde(default)]
    description: String,
}

/// One kind.
#[derive(Debug)]
pub struct Kind {
    /// The chart, binary and crate.
    pub chart: &'static str,
    /// The kind's name, for example `Rollout`.
    pub name: String,
    header: Header,
    types: Types,
}

/// All kinds.
pub fn all() -> Result<Vec<Kind>> {
    SOURCES.iter().map(Kind::read).collect()
}

impl Kind {
    fn read((chart, file, text, types): &Source) -> Result<Self> {
        let place = || format!("schemas/{chart}/{file}.yaml");
        let value = yaml::value(text).with_context(place)?;
        let header: Header = serde_json::from_value(value).with_context(place)?;
        let types = yaml::value(types).with_context(|| format!("schemas/{chart}/types.yaml"))?;
        Ok(Self {
            chart,
            name: header.kind.clone(),
            header,
            types: Types::new(&types),
        })
    }

    /// The table of fields.
    pub fn table(&self) -> Table<'_> {
        Table {
            fields: &self.header.fields,
            types: &self.types,
        }
    }

    /// The file name of the definition, for example `rollouts.yaml`.
    pub fn file_name(&self) -> String {
        format!("{}.yaml", self.header.plural)
    }

    /// The definition.
    pub fn definition(&self) -> Result<Definition> {
        let header = &self.header;
        let schema = if header.open {
            open_schema()
        } else {
            self.schema()?
        };
        let scope = match header.scope.as_str() {
            "Namespaced" => Scope::Namespaced,
            "Cluster" => Scope::Cluster,
            other => return Err(anyhow!("{}: no scope {other:?}", self.name)),
        };
        let column = |column: &ColumnHeader| Column {
            name: column.name.clone(),
            kind: column.kind.clone(),
            path: column.path.clone(),
            priority: column.priority,
            description: column.description.clone(),
        };
        Ok(Definition {
            group: "argoproj.io".to_owned(),
            version: "v1alpha1".to_owned(),
            kind: header.kind.clone(),
            plural: header.plural.clone(),
            singular: header.singular.clone(),
            short_names: header.short_names.clone(),
            scope,
            columns: header.columns.iter().map(column).collect(),
            subresources: header.subresources.clone(),
            labels: json!({
                "app.kubernetes.io/name": format!("{}.argoproj.io", header.plural),
                "app.kubernetes.io/part-of": self.chart,
            }),
            schema,
        })
    }

    fn schema(&self) -> Result<Value> {
        self.table()
            .schema()
            .with_context(|| format!("the table of {}", self.name))
    }

    /// The support ledger of the operator, `None` for kinds that it does not read.
    pub fn ledger(&self) -> Option<&'static Ledger> {
        ledgers().find(|ledger| ledger.kind == self.name)
    }
}

/// The ledgers of all operators.
pub fn ledgers() -> impl Iterator<Item = &'static Ledger> {
    let all: &[&'static [Ledger]] = &[
        #[cfg(feature = "operators")]
        argo_cd_lite::api::fields::LEDGERS,
        #[cfg(feature = "operators")]
        events::api::fields::LEDGERS,
        #[cfg(feature = "operators")]
        rollouts::api::fields::LEDGERS,
    ];
    all.iter().copied().flatten()
}

fn open_schema() -> Value {
    let open = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "type": "object",
        "required": ["metadata", "spec"],
        "properties": {
            "apiVersion": {"type": "string"}, "kind": {"type": "string"},
            "metadata": {"type": "object"}, "spec": open, "status": open,
        },
    })
}
