//! The operators and their eleven kinds: tables in `schemas/CHART/KIND.yaml`, and the ledgers of the operators.

use anyhow::{Context, Result, anyhow};
use reconcile_core::{fields::Ledger, yaml};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::crd::{Column, Definition, Descriptions, Scope, Table, Types};

/// The operators: each is a crate, a binary and a chart of this name.
pub const OPERATORS: [&str; 3] = ["argo-cd-lite", "events", "rollouts"];

/// Where a kind comes from.
struct Source {
    chart: &'static str,
    /// The name of its file.
    file: &'static str,
    table: &'static str,
    types: &'static str,
    descriptions: &'static str,
}

macro_rules! source {
    ($chart:literal, $kind:literal) => {
        Source {
            chart: $chart,
            file: $kind,
            table: include_str!(concat!("../schemas/", $chart, "/", $kind, ".yaml")),
            types: include_str!(concat!("../schemas/", $chart, "/types.yaml")),
            descriptions: include_str!(concat!("../schemas/", $chart, "/descriptions.yaml")),
        }
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
    /// The schema is left open: the fields only explain, as upstream's definition
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
    descriptions: Descriptions,
}

/// All kinds.
pub fn all() -> Result<Vec<Kind>> {
    SOURCES.iter().map(Kind::read).collect()
}

impl Kind {
    fn read(source: &Source) -> Result<Self> {
        let Source { chart, file, .. } = source;
        let parse = |file: &str, text: &str| {
            yaml::value(text).with_context(|| format!("schemas/{chart}/{file}.yaml"))
        };
        let header: Header = serde_json::from_value(parse(file, source.table)?)
            .with_context(|| format!("schemas/{chart}/{file}.yaml"))?;
        Ok(Self {
            chart,
            name: header.kind.clone(),
            header,
            types: Types::new(&parse("types", source.types)?),
            descriptions: Descriptions::new(&parse("descriptions", source.descriptions)?),
        })
    }

    /// The table of fields.
    pub fn table(&self) -> Table<'_> {
        Table {
            kind: &self.name,
            fields: &self.header.fields,
            types: &self.types,
            descriptions: &self.descriptions,
        }
    }

    /// The descriptions of the chart's kinds.
    pub fn descriptions(&self) -> &Descriptions {
        &self.descriptions
    }

    /// The file name of the definition, for example `rollouts.yaml`.
    pub fn file_name(&self) -> String {
        format!("{}.yaml", self.header.plural)
    }

    /// The definition.
    pub fn definition(&self) -> Result<Definition> {
        let header = &self.header;
        let table = self.table();
        let schema = if header.open {
            table.open_schema()
        } else {
            table.schema()
        };
        let schema = schema.with_context(|| format!("the table of {}", self.name))?;
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
